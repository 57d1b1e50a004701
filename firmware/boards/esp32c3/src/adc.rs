//! The converter: three channels of ADC1 (the radio needs ADC2), calibrated with the curve in the chip's fuses.
//!
//! At 11 dB a channel reads 0 to 2500 mV (ESP32-C3 datasheet, ADC characteristics): what gives more needs a divider, and a
//! divider in front of a soil probe is part of that probe's calibration.

use core::cell::RefCell;
use esp_hal::Blocking;
use esp_hal::analog::adc::{Adc, AdcCalCurve, AdcChannel, AdcConfig, AdcPin, Attenuation};
use esp_hal::peripherals::{ADC1, GPIO0, GPIO1, GPIO3};
use giot_firmware::probe;
use giot_shared::units::Millivolts;

/// Looks at a conversion before it counts as failed: it takes microseconds.
const LOOKS_MAX: u32 = 100_000;

type Curve = AdcCalCurve<ADC1<'static>>;
type Channel<P> = AdcPin<P, ADC1<'static>, Curve>;

/// The converter with its channels.
pub(crate) struct Converter {
    adc: Adc<'static, ADC1<'static>, Blocking>,
    soil_a: Channel<GPIO0<'static>>,
    soil_b: Channel<GPIO1<'static>>,
    battery: Channel<GPIO3<'static>>,
}

/// No such channel, or a conversion that did not end.
pub(crate) struct Failed;

/// The channel of the battery.
const BATTERY: u8 = 3;

/// Whether there is such a channel.
pub(crate) const fn has_channel(channel: u8) -> bool {
    matches!(channel, 0 | 1 | BATTERY)
}

impl Converter {
    /// Takes the converter and its pins.
    pub(crate) fn new(
        adc: ADC1<'static>,
        soil_a: GPIO0<'static>,
        soil_b: GPIO1<'static>,
        battery: GPIO3<'static>,
    ) -> Self {
        let mut config = AdcConfig::new();
        let soil_a = config.enable_pin_with_cal(soil_a, Attenuation::_11dB);
        let soil_b = config.enable_pin_with_cal(soil_b, Attenuation::_11dB);
        let battery = config.enable_pin_with_cal(battery, Attenuation::_11dB);
        Self { adc: Adc::new(adc, config), soil_a, soil_b, battery }
    }
}

/// The converter as its users have it, each for one conversion.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a>(pub(crate) &'a RefCell<Converter>);

impl Shared<'_> {
    /// The battery's voltage behind its divider.
    pub(crate) fn battery(&mut self) -> Option<Millivolts> {
        probe::Adc::read(self, BATTERY).ok()
    }
}

impl probe::Adc for Shared<'_> {
    type Error = Failed;

    fn read(&mut self, channel: u8) -> Result<Millivolts, Failed> {
        // Nobody keeps it for longer than this.
        let mut converter = self.0.try_borrow_mut().map_err(|_| Failed)?;
        let Converter { adc, soil_a, soil_b, battery } = &mut *converter;
        match channel {
            0 => convert(adc, soil_a),
            1 => convert(adc, soil_b),
            BATTERY => convert(adc, battery),
            _ => Err(Failed),
        }
    }
}

fn convert<P: AdcChannel>(
    adc: &mut Adc<'static, ADC1<'static>, Blocking>,
    channel: &mut Channel<P>,
) -> Result<Millivolts, Failed> {
    // The one error is that the conversion goes on.
    let conversion = (0..LOOKS_MAX).find_map(|_| adc.read_oneshot(channel).ok());
    conversion.map(Millivolts).ok_or(Failed)
}
