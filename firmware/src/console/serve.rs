//! The console's loop: bytes in, lines out, flash in between. It ends only for what the board must do itself.

use super::{Console, Desk, Outcome};
use crate::probe::modbus::{Format, Line, LineError, Scan, Sighting, scan};
use crate::settings::{Installation, PROBE_WARM_MS_USUAL, is_on_trial};
use core::fmt;
use embassy_futures::select::{Either, select};
use embassy_time::Timer;
use embedded_io_async::{Read, Write};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;

/// Rest after a port that failed, ms.
const REST_MS: u64 = 100;
/// Why nothing is written or erased during a trial.
const ON_TRIAL: &str =
    "settings from over the air are on trial: wait until they are kept or given back, which `reboot` hastens";

/// What a scan hides: it powers the probes by itself.
const UNPOWERED: &str = "probe_warm_ms is not set: probes on the board's switched supply have it in a scan only (`set probe_warm_ms 2000`)";

/// What the board must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// [`tell_scan`] of this, or say why not with [`Console::end`]; the console goes on afterwards.
    Scan(Scan),
    /// Start again.
    Reboot,
    /// Start again without the node.
    Setup,
}

/// Serves a person or a program at the port. `flash` is the partition of what was set up; no other code writes it while
/// a command is carried out. `desk` knows how many records wait, and is told of every byte.
pub async fn serve<R: Read, W: fmt::Write, F: MultiwriteNorFlash>(
    console: &mut Console,
    input: &mut R,
    output: &mut W,
    flash: &mut F,
    desk: &Desk,
) -> Ended {
    let mut bytes = [0; 32];
    loop {
        let n_read = match input.read(&mut bytes).await {
            Ok(n_read) if n_read > 0 => {
                desk.hear();
                n_read
            }
            Ok(_) | Err(_) => {
                Timer::after_millis(REST_MS).await;
                0
            }
        };
        for byte in bytes.iter().take(n_read) {
            // Nobody may be listening.
            let mut say = |line: fmt::Arguments<'_>| write!(output, "{line}\r\n");
            let Ok(outcome) = console.handle_byte(*byte, &mut say) else { continue };
            let writes = matches!(outcome, Outcome::Commit { .. } | Outcome::FactoryReset);
            // The draft began as the settings on trial: to write it would keep what nobody has tested, and forget the trial. The gateway
            // waits for its outcome.
            if writes && console.may_try() && is_on_trial(&mut *flash).await {
                let _heard = Console::end(Err(&ON_TRIAL), &mut say);
                continue;
            }
            let ended = match outcome {
                Outcome::Done => None,
                Outcome::Scan(wanted) => Some(Ended::Scan(wanted)),
                Outcome::Reboot => Some(Ended::Reboot),
                Outcome::Setup => Some(Ended::Setup),
                Outcome::Commit { gives_up } => {
                    let _heard = commit(console, gives_up, flash, desk, &mut say).await;
                    None
                }
                Outcome::FactoryReset => match Installation::forget(&mut *flash).await {
                    Ok(()) => {
                        let _heard = Console::end(Ok(()), &mut say);
                        Some(Ended::Reboot)
                    }
                    Err(error) => {
                        let _heard = Console::end(Err(&error), &mut say);
                        None
                    }
                },
            };
            if let Some(ended) = ended {
                // What came behind the line is lost: whoever waits for answers sends nothing before them.
                return ended;
            }
        }
    }
}

/// Writes the draft, but not where records would be lost by it that nobody gives up.
async fn commit<F: MultiwriteNorFlash>(
    console: &mut Console,
    gives_up: bool,
    flash: &mut F,
    desk: &Desk,
    say: &mut impl FnMut(fmt::Arguments<'_>) -> fmt::Result,
) -> fmt::Result {
    let lost = match (console.stranger(), desk.n_waiting()) {
        (None, _) => None,
        (Some(owner), Some(n_waiting)) => Some((owner, n_waiting)),
        (Some(owner), None) => {
            return say(format_args!(
                "=error nobody knows yet how many records of {owner} wait for its gateway: again in some seconds"
            ));
        }
    };
    if let Some((owner, n_waiting @ 1..)) = lost.filter(|_| !gives_up) {
        return say(format_args!(
            "=error {n_waiting} records of {owner} wait for its gateway: let it have them before, or lose them by `commit give-up`"
        ));
    }
    let mut stored = console.draft().store(&mut *flash).await;
    if let Some((owner, n_waiting)) = lost.filter(|_| gives_up && stored.is_ok()) {
        // A power cut before this has the next boot ask again.
        stored = Installation::give_up(flash, owner).await;
        if stored.is_ok() {
            say(format_args!(
                "= {n_waiting} records of {owner} are given up, and what it makes until it starts again"
            ))?;
        }
    }
    if let Some((owner, _)) = lost.filter(|_| stored.is_ok()) {
        // It may have been set long before, and refused then.
        say(format_args!("= {} instead of {owner} from the next boot on", console.draft().config.id))?;
    }
    console.committed(stored, say)
}

/// Asks the RS485 line who is there, tells every answer, and ends the reply to `scan`. Whoever types Ctrl-C or a line ends it before. The
/// probes are powered meanwhile, and for some ms before the first question. `None`: nobody has said for how long; a node does not power
/// them then, and that is said too.
pub async fn tell_scan<S: Read + Write + Format, P: FnMut(bool), R: Read, W: fmt::Write>(
    line: &mut Line<S>,
    (power, warm_ms): (&mut P, Option<u16>),
    wanted: &Scan,
    input: &mut R,
    output: &mut W,
) {
    let tell = |sighting: Sighting| {
        // Nobody may be listening.
        let _heard = write!(output, "= {sighting}\r\n");
    };
    power(true);
    let scanned = async {
        Timer::after_millis(warm_ms.unwrap_or(PROBE_WARM_MS_USUAL).into()).await;
        scan(line, wanted, tell).await
    };
    let ended = select(scanned, enough(input)).await;
    power(false);
    let ended: Result<(), &dyn fmt::Display> = match ended {
        Either::First(Ok(()) | Err(LineError::Silent | LineError::Frame(_))) => Ok(()),
        Either::First(Err(LineError::Port)) => Err(&"the serial port of the line failed"),
        Either::Second(()) => Err(&"the scan was ended before it was through"),
    };
    if warm_ms.is_none() && ended.is_ok() {
        let _heard = write!(output, "= {UNPOWERED}\r\n");
    }
    let _heard = Console::end(ended, &mut |line| write!(output, "{line}\r\n"));
}

/// Waits for Ctrl-C, or for the end of a line. A line feed that comes first belongs to the line before.
async fn enough<R: Read>(input: &mut R) {
    const CTRL_C: u8 = 0x03;
    let mut is_first = true;
    loop {
        let mut byte = [0];
        match input.read(&mut byte).await {
            Ok(n_read) if n_read > 0 => match byte {
                [b'\n'] if is_first => {}
                [CTRL_C | b'\r' | b'\n'] => return,
                _ => {}
            },
            Ok(_) | Err(_) => Timer::after_millis(REST_MS).await,
        }
        is_first = false;
    }
}
