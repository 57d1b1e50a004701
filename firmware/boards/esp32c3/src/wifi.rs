//! The radio as a station: joins the network of the installation and joins it again for ever.

use crate::console::log;
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_net::Runner;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer, with_timeout};
use esp_hal::peripherals::WIFI;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ControllerConfig, CountryInfo, Interface, PowerSaveMode,
    WifiController, WifiError,
};
use giot_firmware::settings::Wifi;
use portable_atomic::{AtomicBool, AtomicI8, Ordering};

/// Time for one attempt to join.
const JOIN: Duration = Duration::from_secs(20);
/// Rests between attempts, s: the first is short because routers come back, the last spares a battery.
const REST_S: [u64; 4] = [1, 5, 15, 60];
/// Time between looks at the signal, s.
const SIGNAL_S: u64 = 30;
/// Looks without a word of the gateway after which the network is joined anew: a quarter of an hour.
const UNHEARD_LOOKS_MAX: u32 = 30;
/// No signal known: real ones are negative.
const NO_SIGNAL: i8 = 0;

/// Time for the radio to stop.
const STOPPING: Duration = Duration::from_millis(500);

static IS_ON: AtomicBool = AtomicBool::new(false);
static IS_WELCOME: AtomicBool = AtomicBool::new(false);
static STOP: Signal<CriticalSectionRawMutex, ()> = Signal::new();
static STOPPED: Signal<CriticalSectionRawMutex, ()> = Signal::new();
static SIGNAL_DBM: AtomicI8 = AtomicI8::new(NO_SIGNAL);

/// Starts the radio for a network. Gives its network card for the TCP/IP stack, and a controller for [`join`].
///
/// # Errors
/// [`WifiError`] when the radio does not start or takes no such network.
pub(crate) fn start(
    radio: WIFI<'static>,
    network: &Wifi,
) -> Result<(Interface, WifiController<'static>), WifiError> {
    let password = network.password();
    let protection = if password.is_empty() {
        AuthenticationMethodConfig::Open
    } else {
        AuthenticationMethodConfig::WpaWpa2Personal(password.try_into()?)
    };
    let station =
        StationConfig::default().with_ssid(network.ssid().try_into()?).with_authentication(protection);
    let config = ControllerConfig::default()
        .with_country_info(CountryInfo::from(*b"VN"))
        .with_initial_config(Config::Station(station));
    let mut controller = WifiController::new(radio, config)?;
    // Sleeps between beacons: a command waits for a few tenths of a second, and the radio takes a quarter of the power.
    controller.set_power_saving(PowerSaveMode::Minimum)?;
    IS_ON.store(true, Ordering::Relaxed);
    Ok((Interface::station(), controller))
}

/// Keeps the station joined and its packets moving.
pub(crate) fn join(
    spawner: Spawner,
    controller: WifiController<'static>,
    runner: Runner<'static, Interface>,
) {
    spawner.spawn(stay_joined(controller).expect("its first and only time"));
    spawner.spawn(run_network(runner).expect("its first and only time"));
}

/// Strength of the network's signal, dBm, where one is joined.
pub(crate) fn signal_dbm() -> Option<i8> {
    Some(SIGNAL_DBM.load(Ordering::Relaxed)).filter(|signal| *signal != NO_SIGNAL)
}

/// Says whether the gateway answers.
pub(crate) fn note_gateway(answers: bool) {
    IS_WELCOME.store(answers, Ordering::Relaxed);
}

/// Stops the radio, as it has to be before a deep sleep; at once when it was never started.
pub(crate) async fn stop() {
    if IS_ON.load(Ordering::Relaxed) {
        STOP.signal(());
        // A radio that does not stop is switched off with everything else.
        let _stopped = with_timeout(STOPPING, STOPPED.wait()).await;
    }
}

#[embassy_executor::task]
async fn run_network(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn stay_joined(mut controller: WifiController<'static>) {
    if let Either::First(()) = select(STOP.wait(), rejoin(&mut controller)).await {
        drop(controller);
        STOPPED.signal(());
    }
}

/// Joins, again and again.
async fn rejoin(controller: &mut WifiController<'static>) {
    let mut rests = REST_S.into_iter();
    let mut rest_s = 0;
    loop {
        match with_timeout(JOIN, controller.connect_async()).await {
            Ok(Ok(_)) => {
                log!("joined the network");
                rests = REST_S.into_iter();
                stay(controller).await;
                log!("left the network");
            }
            Ok(Err(error)) => log!("no network: {error:?}"),
            Err(_) => {
                log!("no network within {} s", JOIN.as_secs());
                // A network that answers now would be an answer to nobody.
                let _was_not_joined = with_timeout(JOIN, controller.disconnect_async()).await;
            }
        }
        SIGNAL_DBM.store(NO_SIGNAL, Ordering::Relaxed);
        rest_s = rests.next().unwrap_or(rest_s);
        Timer::after_secs(rest_s).await;
    }
}

/// Looks at the signal until the network is gone, or until the gateway was not heard through it for so long that the radio
/// may be at fault.
async fn stay(controller: &mut WifiController<'static>) {
    let mut n_unheard = 0;
    while n_unheard < UNHEARD_LOOKS_MAX {
        let signal = controller.rssi().ok().and_then(|dbm| i8::try_from(dbm).ok());
        SIGNAL_DBM.store(signal.unwrap_or(NO_SIGNAL), Ordering::Relaxed);
        let left = controller.wait_for_disconnect_async();
        if let Either::First(_) = select(left, Timer::after_secs(SIGNAL_S)).await {
            return;
        }
        n_unheard = if IS_WELCOME.load(Ordering::Relaxed) { 0 } else { n_unheard + 1 };
    }
    let _left = with_timeout(JOIN, controller.disconnect_async()).await;
}
