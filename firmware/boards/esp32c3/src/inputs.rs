//! Contacts: the buttons and the water meter, each watched by a task of its own, so that nothing is missed while the node
//! does something else.

use core::cell::Cell;
use critical_section::Mutex;
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer};
use esp_hal::gpio::Input;
use giot_shared::ids::ValveId;

/// A contact that is closed for less is bouncing, ms.
const BOUNCE_MS: u64 = 30;
/// Shortest time between two pulses of a meter, ms: a reed contact bounces for less than 2, and 200 pulses a second are
/// more than any meter of this size gives.
const PULSE_MS_MIN: u64 = 2;
/// Presses that wait for the node: a person presses again.
const PRESSES_MAX: usize = 4;

static PRESSES: Channel<CriticalSectionRawMutex, ValveId, PRESSES_MAX> = Channel::new();
static PULSES: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));
static FLOWS: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// What came in.
pub(crate) enum Event {
    /// The button of a valve.
    Pressed(ValveId),
    /// Water flows, which may end a run.
    Flows,
}

/// Watches the buttons of valves 0 and 1 and the meter; called once.
pub(crate) fn watch(spawner: Spawner, buttons: [Input<'static>; 2], meter: Input<'static>) {
    for (valve, button) in (0..).zip(buttons) {
        spawner.spawn(watch_button(button, ValveId(valve)).expect("one task a button"));
    }
    spawner.spawn(watch_meter(meter).expect("its first and only time"));
}

/// Waits for the next event. Cancel-safe: what came stays.
pub(crate) async fn next() -> Event {
    match select(PRESSES.receive(), FLOWS.wait()).await {
        Either::First(valve) => Event::Pressed(valve),
        Either::Second(()) => Event::Flows,
    }
}

/// Pulses since the last call.
pub(crate) fn take_pulses() -> u32 {
    critical_section::with(|section| PULSES.borrow(section).take())
}

#[embassy_executor::task(pool_size = 2)]
async fn watch_button(mut contact: Input<'static>, valve: ValveId) -> ! {
    loop {
        contact.wait_for_low().await;
        Timer::after_millis(BOUNCE_MS).await;
        if contact.is_low() {
            // Nobody reads: the node is busy for longer than a person presses.
            let _full = PRESSES.try_send(valve);
            contact.wait_for_high().await;
            Timer::after_millis(BOUNCE_MS).await;
        }
    }
}

#[embassy_executor::task]
async fn watch_meter(mut contact: Input<'static>) -> ! {
    let mut last = Instant::MIN;
    loop {
        contact.wait_for_falling_edge().await;
        let now = Instant::now();
        if now.saturating_duration_since(last) >= Duration::from_millis(PULSE_MS_MIN) {
            last = now;
            critical_section::with(|section| {
                let pulses = PULSES.borrow(section);
                pulses.set(pulses.get().saturating_add(1));
            });
            FLOWS.signal(());
        }
    }
}
