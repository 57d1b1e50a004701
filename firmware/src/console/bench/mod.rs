//! What a board does beside or instead of a node because a person at its console wants it: the end of a running node, and a boot
//! without one. A board gives its devices and restarts.
//!
//! Nothing here opens a valve: before a word is said in a boot without a node, every valve is closed.

use super::{Console, Desk, Ended, serve, tell_scan};
use crate::apart::apart;
use crate::board::{NodeStatus, Outputs};
use crate::probe::modbus::{Format, Line};
use crate::run::{Partitions, close_without_node, held};
use crate::settings::{Installation, NoNode};
use core::fmt::{self, Display};
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Timer;
use embedded_io_async::{Read, Write};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;

/// Rest between two meals of the watchdog, s: half of what the boards' wait.
const REST_S: u64 = 5;
/// Time for the last words to reach the computer before the port goes away, ms.
const LAST_WORDS_MS: u64 = 100;

/// The end of a running node, as a person at the console wants it. `M` guards it between the console's task and the node's.
pub struct Ending<M: RawMutex> {
    wanted: Signal<M, ()>,
    for_setup: AtomicBool,
    desk: Desk,
}

impl<M: RawMutex> fmt::Debug for Ending<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").field("for_setup", &self.for_setup).finish_non_exhaustive()
    }
}

impl<M: RawMutex> Ending<M> {
    /// Nobody wants it.
    #[must_use]
    pub const fn new() -> Self {
        Self { wanted: Signal::new(), for_setup: AtomicBool::new(false), desk: Desk::new() }
    }

    /// Waits until it is wanted: the board then wakes its node with [`crate::board::Wake::Stop`]. Cancel-safe.
    pub fn wanted(&self) -> impl Future<Output = ()> {
        self.wanted.wait()
    }

    /// Whether it is wanted, for boards that look from time to time.
    pub fn is_wanted(&self) -> bool {
        self.wanted.signaled()
    }

    /// Whether the boot that follows is one without a node.
    pub fn is_for_setup(&self) -> bool {
        self.for_setup.load(Ordering::Relaxed)
    }

    /// How the node is, for who sits at the console.
    pub fn note(&self, status: &NodeStatus) {
        self.desk.note(status);
    }

    /// Whether somebody was at the console a moment ago: the board does not sleep then.
    pub fn is_attended(&self) -> bool {
        self.desk.is_attended()
    }

    /// Lets the node close its valves and end; the board restarts then, and this does not return.
    async fn want(&self, for_setup: bool) -> ! {
        self.for_setup.store(for_setup, Ordering::Relaxed);
        self.wanted.signal(());
        core::future::pending().await
    }
}

impl<M: RawMutex> Default for Ending<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// Attends to the console while the node runs. `place` is the partition of what was set up.
pub async fn attend<M: RawMutex, R: Read, W: fmt::Write, F: MultiwriteNorFlash>(
    console: Console,
    mut input: R,
    mut output: W,
    mut place: F,
    ending: &Ending<M>,
) -> ! {
    let mut console = console.beside(Ok(()));
    loop {
        let served = serve(&mut console, &mut input, &mut output, &mut place, &ending.desk);
        let ended = match select(served, ending.desk.watch()).await {
            Either::First(ended) => ended,
            Either::Second(never) => never,
        };
        let for_setup = match ended {
            Ended::Scan(_) => {
                refuse(&"the node is running and uses the line: `setup` first", &mut output);
                continue;
            }
            Ended::Reboot => false,
            Ended::Setup => true,
        };
        Timer::after_millis(LAST_WORDS_MS).await;
        ending.want(for_setup).await
    }
}

/// The devices of a board in a boot without a node.
#[derive(Debug)]
pub struct Bench<R, W, F, S, P, D> {
    /// What a person types.
    pub input: R,
    /// Where the answers go.
    pub output: W,
    /// The partition of what was set up.
    pub place: F,
    /// The partitions of the loop: what must not be forgotten over a reset, and what waits for the gateway.
    pub flash: Partitions<F>,
    /// The RS485 line, for a look at who is there; `None` where it cannot be opened.
    pub line: Option<Line<S>>,
    /// Switches the supply of the probes on it.
    pub power: P,
    /// Feeds the watchdog.
    pub feed: D,
    /// Writes one line of the log.
    pub log: fn(fmt::Arguments<'_>),
}

impl<
    R: Read,
    W: fmt::Write,
    F: MultiwriteNorFlash + Clone,
    S: Read + Write + Format,
    P: FnMut(bool),
    D: FnMut(),
> Bench<R, W, F, S, P, D>
{
    /// Closes every valve, says why there is no node, and serves a person at the console until he wants the board to start again, or
    /// was not heard for half an hour where he had asked for this boot. Gives whether that boot is to be one without a node too.
    pub async fn set_up(
        self,
        installed: Option<Installation>,
        why: NoNode,
        outputs: &mut impl Outputs,
    ) -> bool {
        let Self { mut input, mut output, mut place, flash, mut line, mut power, feed, log } = self;
        close(installed.as_ref(), outputs, Some(flash.settings.clone()), log).await;
        let held = apart(pin!(held(flash, None))).await;
        let desk = Desk::new();
        desk.note_waiting(held.n_waiting);
        log(format_args!("{why}"));
        let attended = async {
            let Some(console) = Console::new(installed) else { return false };
            let is_asked = why == NoNode::Asked;
            let mut console = console.beside(Err(why)).owned_by(held.owner);
            loop {
                let served = serve(&mut console, &mut input, &mut output, &mut place, &desk);
                // Only a node that can run is started by nobody's word.
                let nobody =
                    async { if is_asked { desk.deserted().await } else { core::future::pending().await } };
                let Either::First(served) = select(served, nobody).await else {
                    log(format_args!("nobody is at the console"));
                    return false;
                };
                match (served, line.as_mut()) {
                    (Ended::Scan(wanted), Some(line)) => {
                        let warm_ms = console.draft().config.probe_warm_ms;
                        tell_scan(line, (&mut power, warm_ms), &wanted, &mut input, &mut output).await;
                    }
                    (Ended::Scan(_), None) => refuse(&"the RS485 line cannot be opened", &mut output),
                    (Ended::Reboot, _) => return false,
                    (Ended::Setup, _) => return true,
                }
            }
        };
        match select(attended, rest(feed)).await {
            Either::First(for_setup) => {
                Timer::after_millis(LAST_WORDS_MS).await;
                for_setup
            }
            Either::Second(never) => never,
        }
    }
}

/// Closes every valve of a boot that cannot go on, because what its node needs does not start, and rests: the boot that follows may
/// fail as well. The board ends this one then. `installed` and `settings` are `None` where it did not come so far as to read them.
pub async fn close_and_rest<F: MultiwriteNorFlash>(
    installed: Option<&Installation>,
    outputs: &mut impl Outputs,
    settings: Option<F>,
    log: fn(fmt::Arguments<'_>),
) {
    close(installed, outputs, settings, log).await;
    Timer::after_secs(REST_S).await;
}

async fn close<F: MultiwriteNorFlash>(
    installed: Option<&Installation>,
    outputs: &mut impl Outputs,
    settings: Option<F>,
    log: fn(fmt::Arguments<'_>),
) {
    let plans = installed.map(|installed| &installed.config.valves[..]);
    let n_stuck = close_without_node(plans, settings, outputs).await;
    if n_stuck > 0 {
        log(format_args!("{n_stuck} valves did not follow"));
    }
}

/// Feeds the watchdog of a board on which nothing else is to be done.
pub async fn rest(mut feed: impl FnMut()) -> ! {
    loop {
        feed();
        Timer::after_secs(REST_S).await;
    }
}

fn refuse(why: &dyn Display, output: &mut impl fmt::Write) {
    // Nobody may be listening.
    let _heard = Console::end(Err(why), &mut |line| write!(output, "{line}\r\n"));
}

#[cfg(test)]
mod tests;
