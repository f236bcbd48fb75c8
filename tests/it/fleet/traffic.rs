//! Writers and readers at work, and what the readers were given.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Fleet, desk::Desk, history::Read, registers::Register};

/// Writes per second over all registers.
const WRITES_PER_SECOND: u64 = 50;

/// Writes that may be under way at once.
const UNDER_WAY: usize = 8;

/// Connections of readers to each replica.
const READERS: usize = 4;

/// Readers and writers that go on until they are told to stop.
pub struct Traffic {
    readers: JoinSet<Reads>,
    writers: tokio::task::JoinHandle<()>,
    done: Arc<AtomicUsize>,
    stop: CancellationToken,
    stop_writers: CancellationToken,
}

/// What one reader, or all, were given.
#[derive(Default)]
pub struct Reads {
    /// Good answers.
    pub good: Vec<Read>,
    /// Others, as they came.
    pub bad: Vec<String>,
    /// How long the slowest took.
    pub slowest: chrono::TimeDelta,
}

impl Traffic {
    /// Begins to write and to read.
    pub async fn start(fleet: &Arc<Fleet>, registers: &Arc<Vec<Register>>) -> Self {
        let (stop, stop_writers) = (CancellationToken::new(), CancellationToken::new());
        let done = Arc::<AtomicUsize>::default();
        let mut readers = JoinSet::new();
        for replica in (0..fleet.replicas.len()).cycle().take(fleet.replicas.len() * READERS) {
            readers.spawn(read(
                Arc::clone(fleet),
                Arc::clone(registers),
                replica,
                Arc::clone(&done),
                stop.clone(),
            ));
        }
        let desk = Desk::open(&fleet.sandbox).await;
        let writers =
            tokio::spawn(write(Arc::clone(fleet), Arc::clone(registers), desk, stop_writers.clone()));
        Self { readers, writers, done, stop, stop_writers }
    }

    /// How many answers there were.
    pub fn answers(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Waits until there were so many answers.
    pub async fn until(&self, answers: usize) {
        while self.answers() < answers {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the writing; what was begun is finished.
    pub async fn stop_writing(&mut self) {
        self.stop_writers.cancel();
        if !self.writers.is_finished() {
            (&mut self.writers).await.unwrap();
        }
    }

    /// Ends all, and gives what was read.
    pub async fn stop(mut self) -> Reads {
        self.stop_writing().await;
        self.stop.cancel();
        let mut all = Reads::default();
        while let Some(reads) = self.readers.join_next().await {
            let reads = reads.unwrap();
            all.good.extend(reads.good);
            all.bad.extend(reads.bad);
            all.slowest = all.slowest.max(reads.slowest);
        }
        all
    }
}

async fn read(
    fleet: Arc<Fleet>,
    registers: Arc<Vec<Register>>,
    replica: usize,
    done: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> Reads {
    let mut connection = fleet.connect(replica).await;
    let mut reads = Reads::default();
    while !stop.is_cancelled() {
        let register = rand::random_range(0..registers.len());
        let views = &registers[register].views;
        let view = &views[rand::random_range(0..views.len())];
        let answer = connection.ask(&view.question).await;
        reads.slowest = reads.slowest.max(answer.ended - answer.began);
        if answer.is_good() {
            let (began, ended) = (answer.began, answer.ended);
            reads.good.push(Read { register, replica, value: view.value(&answer), began, ended });
        } else {
            reads.bad.push(format!("{}: {}", answer.status, answer.body));
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    reads
}

async fn write(fleet: Arc<Fleet>, registers: Arc<Vec<Register>>, desk: Desk, stop: CancellationToken) {
    let mut ticks = interval(Duration::from_millis(1_000 / WRITES_PER_SECOND));
    // A machine that is too busy writes less.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut writes = JoinSet::new();
    while !stop.is_cancelled() {
        ticks.tick().await;
        if writes.len() >= UNDER_WAY
            && let Some(written) = writes.join_next().await
        {
            written.unwrap();
        }
        let register = rand::random_range(0..registers.len());
        let (fleet, registers, desk) = (Arc::clone(&fleet), Arc::clone(&registers), desk.clone());
        writes.spawn(async move { registers[register].write(&desk, &fleet).await });
        while let Some(written) = writes.try_join_next() {
            written.unwrap();
        }
    }
    while let Some(written) = writes.join_next().await {
        written.unwrap();
    }
}
