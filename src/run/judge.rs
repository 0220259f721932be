//! The reference at work while the run goes on: fibres wait in a queue, threads of their own run them, and what the run gives of
//! the same fibres is kept as it goes by to the sink.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};

use crate::backend::Experiment;
use crate::backend::reference::{Reference, ReferenceError, Tolerances};
use crate::study::unit_interval;

use super::reference::{OneRun, Wanted, run_fibres};
use super::sink::Part;
use super::threshold::Candidates;

/// Relative tolerance of the reference where it judges a run.
pub const JUDGE_TOLERANCE: f64 = 1e-6;

/// How exactly the judged fibres are run. Against the reference's own 1e-8, errors are at most a tenth of the smallest
/// differences that mean something: see `benches/README.md`, "How exact is the reference that judges a run?".
pub(super) const TOLERANCES: Tolerances = Tolerances {
    relative: JUDGE_TOLERANCE,
    absolute: 1e-2 * JUDGE_TOLERANCE,
};

/// Fibres among which the ones next to a threshold are looked for, at most.
pub(super) const MOST_CANDIDATES: usize = 4096;

/// A fibre that the reference is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub id: u64,
    /// Whether it was chosen next to a threshold; else it was drawn by the seed.
    pub near_threshold: bool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Asked>,
    done: Vec<(Asked, OneRun)>,
    closed: bool,
}

/// The queue of fibres for the reference, and what came of them.
pub(super) struct Judge<'a> {
    /// Fibres that the reference has run elsewhere.
    known: Mutex<HashMap<u64, OneRun>>,
    experiment: &'a Experiment,
    parameters: &'a [Vec<f64>],
    first_fibre: u64,
    reference: OnceLock<Result<Reference, ReferenceError>>,
    queue: Mutex<Queue>,
    bell: Condvar,
    cancel: &'a AtomicBool,
    abandoned: AtomicBool,
}

impl<'a> Judge<'a> {
    /// `parameters[i]` are those of fibre `first_fibre + i`.
    pub(super) fn new(
        experiment: &'a Experiment,
        parameters: &'a [Vec<f64>],
        first_fibre: u64,
        cancel: &'a AtomicBool,
    ) -> Self {
        Judge {
            known: Mutex::default(),
            experiment,
            parameters,
            first_fibre,
            reference: OnceLock::new(),
            queue: Mutex::default(),
            bell: Condvar::new(),
            cancel,
            abandoned: AtomicBool::new(false),
        }
    }

    /// Takes what the reference found elsewhere.
    pub(super) fn knows(&self, fibre: u64, run: OneRun) {
        let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        known.insert(fibre, run);
    }

    /// What is simulated.
    pub(super) fn experiment(&self) -> &'a Experiment {
        self.experiment
    }

    /// Number of fibres of the run.
    pub(super) fn n_fibres(&self) -> usize {
        self.parameters.len()
    }

    /// Place of a fibre in the run.
    pub(super) fn place(&self, id: u64) -> usize {
        (id - self.first_fibre) as usize
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Puts fibres into the queue.
    pub(super) fn ask(&self, ids: &[u64], near_threshold: bool) {
        let asked = ids.iter().map(|&id| Asked { id, near_threshold });
        self.queue().waiting.extend(asked);
        self.bell.notify_all();
    }

    /// Nothing more will be asked.
    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.bell.notify_all();
    }

    /// What is being run is of no use any more.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.cancel.load(Ordering::Relaxed) || self.abandoned.load(Ordering::Relaxed)
    }

    /// Runs fibres of the queue until it is closed and empty, or the run is cancelled.
    pub(super) fn work(&self) {
        // What is being run: fibre and how it was chosen.
        let running = RefCell::new(Vec::<Asked>::new());
        while let Some(first) = self.next(true) {
            let built = self
                .reference
                .get_or_init(|| Reference::new(self.experiment, TOLERANCES));
            let Ok(reference) = built else { return };
            let mut first = Some(first);
            let mut next = |_: bool| {
                let asked = first.take().or_else(|| self.next(false))?;
                running.borrow_mut().push(asked);
                Some(Wanted {
                    id: asked.id,
                    parameters: &self.parameters[self.place(asked.id)],
                    keeps_samples: !asked.near_threshold,
                })
            };
            let mut done = |id: u64, run: OneRun| {
                let mut running = running.borrow_mut();
                if let Some(place) = running.iter().position(|asked| asked.id == id) {
                    self.queue().done.push((running.swap_remove(place), run));
                }
            };
            let cancelled = || self.is_over();
            run_fibres(reference, self.experiment, &mut next, &cancelled, &mut done);
        }
    }

    /// The next fibre that the reference has to run; with `waits`, none only if there will be no more.
    fn next(&self, waits: bool) -> Option<Asked> {
        let mut queue = self.queue();
        loop {
            if self.is_over() {
                return None;
            }
            if let Some(asked) = queue.waiting.pop_front() {
                let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
                match known.remove(&asked.id) {
                    Some(run) => queue.done.push((asked, run)),
                    None => return Some(asked),
                }
                continue;
            }
            if queue.closed || !waits {
                return None;
            }
            queue = self.bell.wait(queue).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// What the reference found, fibres ascending.
    ///
    /// # Errors
    /// If there is no reference for the experiment.
    pub(super) fn found(self) -> Result<Vec<(Asked, OneRun)>, ReferenceError> {
        if let Some(Err(error)) = self.reference.into_inner() {
            return Err(error);
        }
        let queue = self.queue.into_inner().unwrap_or_else(|e| e.into_inner());
        let mut done = queue.done;
        done.sort_by_key(|(asked, _)| asked.id);
        Ok(done)
    }
}

/// Lets the judge's threads end, also where the run panics: a scope waits for its threads.
pub(super) struct Closes<'j, 'a>(pub &'j Judge<'a>);

impl Drop for Closes<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
        self.0.close();
    }
}

/// Which fibres are judged: some drawn by the seed, the others to be chosen next to a threshold.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    /// Drawn by the seed, in the order in which they were drawn. All of them are traced, so that any may be compared.
    pub drawn: Vec<u64>,
    /// How many of them are run from the start; the others stand in for fibres next to a threshold where there are none.
    pub at_start: usize,
    /// Among which the ones next to a threshold are looked for.
    pub candidates: Candidates,
}

impl Sampling {
    /// `wanted` fibres of a population; `counts_spikes` says whether any feature does.
    pub(super) fn new(
        parameters: &[Vec<f64>],
        first_fibre: u64,
        seed: u64,
        wanted: usize,
        counts_spikes: bool,
    ) -> Self {
        let n = parameters.len();
        let id = |i: u64| first_fibre + i;
        let drawn: Vec<u64> = drawn(seed, n as u64, wanted).into_iter().map(id).collect();
        let among = candidates(seed, n as u64);
        let points: Vec<&[f64]> = among
            .iter()
            .map(|&i| parameters[i as usize].as_slice())
            .collect();
        let ids = among.iter().map(|&i| id(i)).collect();
        let candidates = Candidates::new(ids, &points);
        let looks = wanted < n && counts_spikes && candidates.differ();
        Sampling {
            at_start: if looks {
                wanted.div_ceil(2)
            } else {
                drawn.len()
            },
            drawn,
            candidates,
        }
    }

    /// Of a part: the whole's drawn fibres that are in it, all run from the start, and no choice of its own.
    pub(super) fn of_part(part: &Part, seed: u64, wanted: usize, candidates: Vec<u64>) -> Self {
        let own = part.fibres();
        let mut drawn = drawn(seed, part.population, wanted);
        drawn.retain(|id| own.contains(id));
        Sampling {
            at_start: drawn.len(),
            drawn,
            candidates: Candidates::new(candidates, &[]),
        }
    }

    /// Ids of the fibres that are traced, where only some are recorded.
    pub(super) fn traces(&self, recorded: Option<&[u64]>) -> Option<Vec<u64>> {
        let mut ids = recorded?.to_vec();
        ids.extend(&self.drawn);
        ids.sort_unstable();
        ids.dedup();
        Some(ids)
    }
}

/// The fibres of `n` that are drawn by the seed, in the order in which they are drawn.
pub(super) fn drawn(seed: u64, n: u64, wanted: usize) -> Vec<u64> {
    if wanted as u64 >= n {
        (0..n).collect()
    } else {
        draws(seed, "agreement", n, wanted).collect()
    }
}

/// The fibres of `n` among which the ones next to a threshold are looked for, ascending.
pub(super) fn candidates(seed: u64, n: u64) -> Vec<u64> {
    if n <= MOST_CANDIDATES as u64 {
        return (0..n).collect();
    }
    let mut among: Vec<u64> = draws(seed, "agreement candidates", n, MOST_CANDIDATES).collect();
    among.sort_unstable();
    among
}

/// Different numbers below `n` by the seed, as they are drawn.
fn draws(seed: u64, name: &'static str, n: u64, wanted: usize) -> impl Iterator<Item = u64> {
    let mut seen = std::collections::HashSet::new();
    (0u64..)
        .map(move |draw| ((unit_interval(seed, name, draw) * n as f64) as u64).min(n - 1))
        .filter(move |i| seen.insert(*i))
        .take(wanted)
}
