//! The node on an ESP32-C3: wiring of its devices to the firmware, and nothing else.
//!
//! | file | device |
//! |---|---|
//! | `pins` | which pin is what; the valves' outputs |
//! | `inputs` | buttons and water meter |
//! | `adc` | analog probes and battery |
//! | `serial` | RS485 line |
//! | `flash` | installation, settings and outbox |
//! | `wifi` | radio |
//! | `reset`, `brownout`, `watchdog` | what ends a boot, and why |
//! | `sleep` | deep sleep |
//! | `console`, `terminal` | log lines on USB, and what a person says there |
//! | `probes` | what is read as planned |
//! | `board` | what the node sees of all that |
#![no_std]
#![no_main]

mod adc;
mod board;
mod brownout;
mod console;
mod flash;
mod inputs;
mod pins;
mod probes;
mod reset;
mod serial;
mod sleep;
mod terminal;
mod watchdog;
mod wifi;

use adc::{Converter, Shared};
use board::{FieldBoard, Parts};
use console::log;
use core::cell::RefCell;
use core::pin::pin;
use embassy_executor::Spawner;
use embassy_net::StackResources;
use embassy_time::Timer;
use esp_hal::clock::CpuClock;
use esp_hal::rtc_cntl::Rtc;
use esp_hal::timer::timg::TimerGroup;
use giot_firmware::apart::apart;
use giot_firmware::console::Console;
use giot_firmware::link::tcp::{self, Link, Socket};
use giot_firmware::probe::Supply;
use giot_firmware::probe::modbus::Line;
use giot_firmware::run::{End, Memory, close_without_node, run};
use giot_firmware::settings::ValveKind;
use giot_shared::wire::ResetCause;
use pins::{ActiveLow, Pins, Valves, contact, waking};
use probes::FieldProbes;
use serial::Serial;
use static_cell::{ConstStaticCell, StaticCell};
use terminal::Bench;
use watchdog::Watchdog;

esp_bootloader_esp_idf::esp_app_desc!();

/// The broker's stream and DHCP.
const SOCKETS: usize = 2;
/// The radio's heap, bytes: what its documentation starts with; the bootloader's memory is free once it has run.
const HEAP_RECLAIMED_LEN: usize = 64 * 1024;
const HEAP_LEN: usize = 36 * 1024;
/// Rest before a boot that may wear the flash, s.
const REST_S: u64 = 5;

static STACK: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
static BUFFERS: ConstStaticCell<tcp::Buffers> = ConstStaticCell::new(tcp::Buffers::new());
static SOCKET: StaticCell<Socket> = StaticCell::new();
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[esp_rtos::main]
async fn main(spawner: Spawner) {
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    pins::close_outputs();
    let (cause, wants_setup) = reset::take_cause();
    let mut rtc = Rtc::new(chip.RTC_TIMER);
    brownout::start(&mut rtc);
    let woken = sleep::take_woken(&rtc);
    let watchdog = Watchdog::start(rtc);
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: HEAP_RECLAIMED_LEN);
    esp_alloc::heap_allocator!(size: HEAP_LEN);
    esp_rtos::start(TimerGroup::new(chip.TIMG0).timer0, chip.FROM_CPU_INTR0);
    log!("giot {}, boot by {}", env!("CARGO_PKG_VERSION"), cause.code());

    let coils = Pins { coil_a: chip.GPIO6, coil_b: chip.GPIO7 };
    let (place, flash) = match flash::partitions(chip.FLASH) {
        Ok(partitions) => partitions,
        Err(missing) => return terminal::stay_closed(watchdog, coils, &missing).await,
    };
    let rs485 = Serial::open(chip.UART1, chip.GPIO20, chip.GPIO21, chip.GPIO10).map(Line::new);
    let (supply, lamp) = (ActiveLow::new(chip.GPIO2), ActiveLow::floating(chip.GPIO9));
    let bench = Bench { watchdog, place, flash: flash.clone(), coils, supply, lamp, rs485 };
    let (installation, broker, rs485, bench) = apart(pin!(terminal::begin(bench, wants_setup))).await;
    let Bench { watchdog, place, coils, supply, lamp, .. } = bench;
    let mut valves = Valves::new(coils, &installation.config.valves);
    if installation.config.valves.iter().any(|plan| plan.kind == ValveKind::Latching) {
        brownout::expect_latching();
    }
    let buttons = [waking(contact(chip.GPIO4)), contact(chip.GPIO8)];
    inputs::watch(spawner, buttons, contact(chip.GPIO5), woken.is_some());

    if woken.is_none() {
        // A radio that hangs or panics at its start, at this boot and at all that follow, must not leave a valve open.
        let plans = Some(installation.config.valves.as_slice());
        apart(pin!(close_without_node(plans, Some(flash.settings.clone()), &mut valves))).await;
    }
    let radio_is_on = woken.as_ref().is_none_or(|woken| woken.contact);
    let network = installation.wifi.as_ref().filter(|_| radio_is_on);
    let radio = network.map(|network| wifi::start(chip.WIFI, network)).transpose();
    let Ok(radio) = radio else {
        apart(pin!(terminal::close_and_rest(&installation, &mut valves, flash.settings.clone()))).await;
        panic!("the radio does not start");
    };
    let mut link = radio.map(|(card, controller)| {
        let config = tcp::config(installation.network);
        let (stack, runner) =
            embassy_net::new(card, config, STACK.init(StackResources::new()), board::random());
        wifi::join(spawner, controller, runner);
        Link::new(stack, broker, SOCKET.init(Socket::new(stack, BUFFERS.take())))
    });

    let converter = RefCell::new(Converter::new(chip.ADC1, chip.GPIO0, chip.GPIO1, chip.GPIO3));
    let converter = Shared(&converter);
    let supply = Supply::new(supply);
    let mut probes = FieldProbes::new(supply.analog(), converter, rs485, &installation);
    let parts = Parts { valves, converter, supply: supply.line(), lamp, watchdog };
    let mut board = FieldBoard::new(parts, installation.config.battery, cause, woken);
    log!("node {}, broker {}", installation.config.id, installation.broker);
    if let Some(console) = Console::new(Some(installation.clone())) {
        spawner.spawn(terminal::attend(console, place).expect("its first and only time"));
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
