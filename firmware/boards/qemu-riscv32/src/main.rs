//! The node on QEMU's `virt` machine: wiring of its devices to the firmware, and nothing else.
//!
//! | file | device |
//! |---|---|
//! | `mmio` | where everything is |
//! | `time`, `interrupts`, `reset`, `console` | the hart and its surroundings |
//! | `pci` | addresses for what sits on PCI |
//! | `gpio` | valves, buttons, meter and supply, in a file |
//! | `serial` | RS485 line |
//! | `flash` | settings and outbox |
//! | `watchdog` | the dog |
//! | `net` | network card |
//! | `board` | what the node sees of all that |
#![no_std]
#![no_main]

mod board;
mod console;
#[cfg(feature = "fault-injection")]
mod fault;
mod flash;
mod gpio;
mod interrupts;
mod mmio;
mod net;
mod pci;
mod reset;
mod serial;
mod time;
mod watchdog;

use board::{ProbeInputs, QemuBoard};
use console::log;
use core::fmt::Display;
use embassy_executor::Spawner;
use embassy_net::{Runner, StackResources};
use embassy_time::Timer;
use flash::Partition;
use giot_firmware::link::tcp::{self, Link, Socket};
use giot_firmware::probe::modbus::Line;
use giot_firmware::run::{End, Memory, Partitions, run};
use giot_firmware::settings::Installation;
use giot_shared::wire::ResetCause;
use gpio::Gpio;
use net::Net;
use serial::Serial;
use static_cell::{ConstStaticCell, StaticCell};
use watchdog::Watchdog;

/// The broker's stream and DHCP.
const SOCKETS: usize = 2;

/// Half of what the watchdog waits, s.
const REST_S: u64 = 5;

static STACK: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
static BUFFERS: ConstStaticCell<tcp::Buffers> = ConstStaticCell::new(tcp::Buffers::new());
static SOCKET: StaticCell<Socket> = StaticCell::new();
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let mut bus = pci::Bus::new();
    let gpio = Gpio::take(&mut bus).expect("ivshmem-plain: the pins");
    time::start();
    interrupts::start();
    let (watchdog, has_fired) = Watchdog::start(&mut bus).expect("i6300esb: the watchdog");
    let cause = reset::take_cause(has_fired);
    log!("giot {}, boot by {}", env!("CARGO_PKG_VERSION"), cause.code());

    let installation = match Installation::load(Partition::new(Partition::INSTALLATION)).await {
        Ok(installation) => installation,
        Err(error) => return wait_for_installer(watchdog, &error).await,
    };
    let Ok(broker) = installation.broker.parse() else {
        return wait_for_installer(watchdog, &"the broker is no IPv4 address with a port").await;
    };
    let rs485 = Serial::open(&mut bus, installation.baud).expect("pci-serial: the RS485 line");
    let card = Net::start().expect("virtio-net-device: the network");
    let config = tcp::config(installation.network);
    let (stack, runner) = embassy_net::new(card, config, STACK.init(StackResources::new()), board::random());
    spawner.spawn(run_network(runner).expect("its first and only time"));

    let socket = SOCKET.init(Socket::new(stack, BUFFERS.take()));
    let mut link = Link::new(stack, broker, socket);
    let mut board = QemuBoard::new(gpio, watchdog, Line::new(rs485), probe_inputs(&installation), cause);
    let flash = Partitions {
        settings: Partition::new(Partition::SETTINGS),
        readings: Partition::new(Partition::READINGS),
        events: Partition::new(Partition::EVENTS),
    };
    log!("node {}, broker {}", installation.config.id, installation.broker);
    match run(installation.config, &mut board, &mut link, flash, MEMORY.take()).await {
        Ok(End::Stopped | End::Restart) => reset::restart(ResetCause::Software),
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

/// Without an id there is nothing to do but to stay closed and say why.
async fn wait_for_installer(mut watchdog: Watchdog, why: &dyn Display) {
    log!("{why}");
    loop {
        watchdog.feed();
        Timer::after_secs(REST_S).await;
    }
}

fn probe_inputs(installation: &Installation) -> ProbeInputs {
    let inputs = installation.config.probes.iter();
    inputs.filter_map(|plan| Some((plan.probe, plan.metric, installation.input(plan.probe)?))).collect()
}
