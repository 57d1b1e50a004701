//! Contacts: the buttons and the water meter, each watched by a task of its own, so that nothing is missed while the node
//! does something else.

use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use embassy_time::{Instant, Timer};
use esp_hal::gpio::Input;
use giot_firmware::button::Buttons;
use giot_firmware::probe::{PULSE_US_MIN, PulseFilter};
use giot_shared::ids::ValveId;
use portable_atomic::{AtomicBool, AtomicU32, Ordering};

/// A contact that is closed for less is bouncing, ms.
const BOUNCE_MS: u64 = 30;
/// Presses that wait for the node: a person presses again.
const PRESSES_MAX: usize = 4;

static PRESSES: Channel<CriticalSectionRawMutex, ValveId, PRESSES_MAX> = Channel::new();
/// Whether the button that ends a deep sleep is down.
static IS_HELD: AtomicBool = AtomicBool::new(false);
static PULSES: AtomicU32 = AtomicU32::new(0);
static FLOWS: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// What came in.
pub(crate) enum Event {
    /// The button of a valve.
    Pressed(ValveId),
    /// Water flows, which may end a run.
    Flows,
}

/// Watches the buttons of valves 0 and 1 and the meter; called once. `has_slept`: this boot ended a deep sleep, which began while
/// the first button was up.
pub(crate) fn watch(spawner: Spawner, buttons: [Input<'static>; 2], meter: Input<'static>, has_slept: bool) {
    for (valve, button) in (0..).zip(buttons) {
        let waking = valve == 0;
        let seen = Buttons::new(u32::from(!(waking && has_slept)));
        spawner.spawn(watch_button(button, ValveId(valve), seen).expect("one task a button"));
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

/// Whether the button that ends a deep sleep is down: no sleep can begin.
pub(crate) fn is_held() -> bool {
    IS_HELD.load(Ordering::Relaxed)
}

/// The meter's count in this boot.
pub(crate) fn pulses() -> u32 {
    PULSES.load(Ordering::Relaxed)
}

#[embassy_executor::task(pool_size = 2)]
async fn watch_button(mut contact: Input<'static>, valve: ValveId, mut button: Buttons) -> ! {
    loop {
        let is_down = contact.is_low();
        if button.look(is_down.into()).is_some() {
            // Nobody reads: the node is busy for longer than a person presses.
            let _full = PRESSES.try_send(valve);
        }
        if valve == ValveId(0) {
            IS_HELD.store(is_down, Ordering::Relaxed);
        }
        if is_down {
            contact.wait_for_high().await;
        } else {
            contact.wait_for_low().await;
        }
        Timer::after_millis(BOUNCE_MS).await;
    }
}

#[embassy_executor::task]
async fn watch_meter(mut contact: Input<'static>) -> ! {
    let mut filter = PulseFilter::new(PULSE_US_MIN);
    loop {
        // A meter may have stopped with its contact closed.
        filter.edge(Instant::now().as_micros(), contact.is_low());
        if filter.count() != PULSES.swap(filter.count(), Ordering::Relaxed) {
            FLOWS.signal(());
        }
        contact.wait_for_any_edge().await;
    }
}
