//! The node on QEMU's `virt` machine: wiring of its devices to the firmware, and nothing else.
//!
//! | file | device |
//! |---|---|
//! | `mmio` | where everything is |
//! | `time`, `interrupts`, `reset`, `console` | the hart and its surroundings |
//! | `terminal` | what a person says at the console |
//! | `stack` | how much of it was used |
//! | `pci` | addresses for what sits on PCI |
//! | `gpio` | valves, buttons, meter and supply, in a file |
//! | `serial` | RS485 line |
//! | `flash` | settings and outbox |
//! | `watchdog` | the dog |
//! | `net` | network card |
//! | `probes` | what is read of all that |
//! | `board` | what the node sees of all that |
//! | `fault`, `haste` | what goes wrong, and days that pass in a minute, in images for tests only |
#![no_std]
#![no_main]

mod board;
mod console;
#[cfg(feature = "fault-injection")]
mod fault;
mod flash;
mod gpio;
#[cfg(feature = "fault-injection")]
mod haste;
mod interrupts;
mod mmio;
mod net;
mod pci;
mod probes;
mod reset;
mod serial;
mod stack;
mod terminal;
mod time;
mod watchdog;

use board::QemuBoard;
use console::log;
use core::pin::pin;
use embassy_executor::Spawner;
use embassy_net::{Runner, StackResources};
use embassy_time::Timer;
use flash::Partition;
use giot_firmware::apart::apart;
use giot_firmware::console::Console;
use giot_firmware::link::tcp::{self, Link, Socket};
use giot_firmware::probe::modbus::Line;
use giot_firmware::run::{End, Memory, run};
use giot_firmware::settings::BAUD_DEFAULT;
use giot_shared::wire::ResetCause;
use gpio::Gpio;
use net::Net;
use probes::QemuProbes;
use serial::Serial;
use static_cell::{ConstStaticCell, StaticCell};
use terminal::Bench;
use watchdog::Watchdog;

/// The broker's stream and DHCP.
const SOCKETS: usize = 2;

/// Rest before a boot that may wear the flash, s.
const REST_S: u64 = 5;

static STACK: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
static BUFFERS: ConstStaticCell<tcp::Buffers> = ConstStaticCell::new(tcp::Buffers::new());
static SOCKET: StaticCell<Socket> = StaticCell::new();
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    stack::paint();
    let mut bus = pci::Bus::new();
    let gpio = Gpio::take(&mut bus).expect("ivshmem-plain: the pins");
    time::start();
    interrupts::start();
    let (watchdog, rs485) = (Watchdog::start(&mut bus), Serial::open(&mut bus, BAUD_DEFAULT));
    let (cause, wants_setup) = reset::take_cause(watchdog.as_ref().is_some_and(|(_, has_fired)| *has_fired));
    log!("giot {}, boot by {}", env!("CARGO_PKG_VERSION"), cause.code());

    let (Some((watchdog, _)), Some(rs485)) = (watchdog, rs485) else {
        apart(pin!(terminal::close_and_rest(None, &gpio))).await;
        panic!("i6300esb and pci-serial: the watchdog and the RS485 line");
    };
    let bench = Bench { watchdog, gpio, rs485: Line::new(rs485) };
    let (installation, broker, bench) = apart(pin!(terminal::begin(bench, wants_setup))).await;
    let Bench { watchdog, gpio, rs485 } = bench;
    let Some(card) = Net::start() else {
        apart(pin!(terminal::close_and_rest(Some(&installation), &gpio))).await;
        panic!("virtio-net-device: the network");
    };
    let config = tcp::config(installation.network);
    let (stack, runner) = embassy_net::new(card, config, STACK.init(StackResources::new()), board::random());
    spawner.spawn(run_network(runner).expect("its first and only time"));

    let socket: &'static Socket = SOCKET.init(Socket::new(stack, BUFFERS.take()));
    #[cfg(feature = "fault-injection")]
    spawner.spawn(haste::attend(socket).expect("its first and only time"));
    let mut link = Link::new(stack, broker, socket);
    let switches = probes::switches(&gpio, &installation);
    let mut probes = QemuProbes::new(&gpio, rs485, &switches, &installation);
    let mut board = QemuBoard::new(&gpio, watchdog, &switches, installation.config.battery, cause);
    let flash = Partition::all();
    log!("node {}, broker {}", installation.config.id, installation.broker);
    if let Some(console) = Console::new(Some(installation.clone())) {
        spawner.spawn(terminal::attend(console).expect("its first and only time"));
    }
    match run(installation.config, &mut board, &mut probes, &mut link, flash, MEMORY.take()).await {
        Ok(End::Stopped) => terminal::restart(terminal::ENDING.is_for_setup()),
        Ok(End::Restart) => reset::restart(ResetCause::Software),
        Err(error) => {
            // Each boot writes its epoch: a flash that fails otherwise must not be worn out by boots.
            Timer::after_secs(REST_S).await;
            panic!("{error}")
        }
    }
}

#[embassy_executor::task]
async fn run_network(mut runner: Runner<'static, Net>) -> ! {
    runner.run().await
}
