//! What waits, for how long, and who is told what.

use futures::future::join_all;
use openraft::errors::ForwardToLeader;
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep, timeout};

use super::*;

#[test]
fn only_what_has_no_place_in_the_log_is_refused() {
    let refused = ClientWriteError::ForwardToLeader(ForwardToLeader::empty());
    assert!(matches!(answer::<()>(Some(Ok(Ok(())))), Ok(())));
    assert!(matches!(answer::<()>(Some(Ok(Err(refused)))), Err(Error::NotLeader)));
    assert!(matches!(answer::<()>(Some(Err(Fatal::Stopped))), Err(Error::Unknown)));
    assert!(matches!(answer::<()>(None), Err(Error::Unknown)));
}

fn waiting(bytes: &[usize]) -> Vec<Waiting> {
    let of_size = |size: &usize| Waiting { batch: vec![0; *size].into(), appended: oneshot::channel().0 };
    bytes.iter().map(of_size).collect()
}

#[test]
fn little_gathers_behind_the_rounds_under_way_and_much_does_not() {
    assert!(!may_start(0, 0));
    assert!(may_start(1, 0));
    assert!(may_start(LARGE_ROUND_BYTES - 1, 0));
    assert!(!may_start(LARGE_ROUND_BYTES - 1, 1));
    assert!(may_start(LARGE_ROUND_BYTES, ROUNDS_MAX - 1));
    assert!(!may_start(LARGE_ROUND_BYTES, ROUNDS_MAX));
}

#[test]
fn a_round_takes_from_the_front_what_fits_and_at_least_one() {
    let mut queue = waiting(&[ROUND_BYTES_MAX + 1, 1, ROUND_BYTES_MAX - 1, 1]);
    assert_eq!(take_round(&mut queue).len(), 1, "larger than a round, and alone");
    assert_eq!(take_round(&mut queue).len(), 2);
    assert_eq!(take_round(&mut queue).len(), 1);
    let mut queue = waiting(&[1; ROUND_BATCHES_MAX + 1]);
    assert_eq!(take_round(&mut queue).len(), ROUND_BATCHES_MAX);
    assert_eq!(queue.len(), 1);
}

/// A round that was begun, and ends when it is told to.
struct Begun {
    at: Instant,
    batches: Vec<Waiting>,
    end: oneshot::Sender<()>,
}

/// An appender whose rounds end when the test says so.
struct Loop {
    appender: Appender,
    begun: mpsc::UnboundedReceiver<Begun>,
    running: JoinHandle<()>,
}

impl Loop {
    fn start() -> Self {
        let (appender, appends) = new();
        let (sender, begun) = mpsc::unbounded_channel();
        let append = move |batches: Vec<Waiting>| {
            let (end, ended) = oneshot::channel();
            let at = Instant::now();
            sender.send(Begun { at, batches, end }).expect("the test looks at its rounds");
            async move { drop(ended.await) }
        };
        Self { appender, begun, running: tokio::spawn(appends.run_with(append)) }
    }

    /// Hands a batch in, and gives who waits for it once the loop may have seen it.
    async fn hand_in(&self, bytes: usize) -> JoinHandle<Result<(), Error>> {
        let appender = self.appender.clone();
        let caller = tokio::spawn(async move { appender.append(vec![0; bytes].into()).await });
        settle().await;
        caller
    }

    /// Hands so many in, which the loop sees at once.
    async fn hand_in_together(&self, count: usize) {
        for _ in 0..count {
            let appender = self.appender.clone();
            tokio::spawn(async move { appender.append(vec![0; 1].into()).await });
        }
        settle().await;
    }

    async fn next(&mut self) -> Begun {
        timeout(Duration::from_secs(3600), self.begun.recv()).await.expect("a round begins").expect("the loop runs")
    }

    fn none_begins(&mut self) {
        assert!(self.begun.try_recv().is_err(), "nothing should have begun yet");
    }
}

/// Lets all that can go on without time going on do so.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A round that ends only when the test says so.
async fn stuck(appends: &mut Loop) -> Begun {
    appends.hand_in(1).await;
    appends.next().await
}

#[tokio::test(start_paused = true)]
async fn what_arrives_behind_a_stuck_round_does_not_put_off_the_others() {
    let mut appends = Loop::start();
    let first = stuck(&mut appends).await;
    // Something arrives all the time, at intervals that are shorter than the patience.
    let mut arrived = 0;
    while appends.begun.is_empty() && arrived < ROUND_BATCHES_MAX {
        appends.hand_in(1).await;
        arrived += 1;
        sleep(ROUND_PATIENCE / 10).await;
        settle().await;
    }
    let late = appends.next().await;
    assert_eq!(late.at - first.at, ROUND_PATIENCE);
    assert_eq!(late.batches.len(), arrived, "all that waited until then");
    // The patience begins anew, with the start of that round.
    appends.hand_in(1).await;
    let next = appends.next().await;
    assert_eq!(next.at - late.at, ROUND_PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_round_begins_the_patience_anew() {
    let mut appends = Loop::start();
    let first = stuck(&mut appends).await;
    appends.hand_in(LARGE_ROUND_BYTES).await;
    let second = appends.next().await;
    appends.hand_in(1).await;
    sleep(ROUND_PATIENCE * 3 / 4).await;
    first.end.send(()).expect("the round is under way");
    settle().await;
    let ended = Instant::now();
    let third = appends.next().await;
    assert_eq!(third.at - ended, ROUND_PATIENCE, "the second one is still under way");
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_round_begins_when_it_ends() {
    let mut appends = Loop::start();
    let first = stuck(&mut appends).await;
    for _ in 0..5 {
        appends.hand_in(1).await;
    }
    appends.none_begins();
    first.end.send(()).expect("the round is under way");
    settle().await;
    let second = appends.next().await;
    assert_eq!(second.at, first.at, "no time has passed");
    assert_eq!(second.batches.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn writers_who_are_answered_write_again_before_the_next_round_begins() {
    const WRITERS: usize = 4;
    let mut appends = Loop::start();
    for _ in 0..WRITERS {
        let appender = appends.appender.clone();
        tokio::spawn(async move { while appender.append(vec![0; 1].into()).await.is_ok() {} });
    }
    // Whoever comes first begins alone.
    let mut sizes = Vec::new();
    for _ in 0..10 {
        let round = appends.next().await;
        sizes.push(round.batches.len());
        for waiting in round.batches {
            waiting.appended.send(Ok(())).expect("its writer waits");
        }
        round.end.send(()).expect("the round is under way");
    }
    assert!(sizes[2..].iter().all(|size| *size == WRITERS), "{sizes:?}");
}

/// Four writers, three of whom come while the first is served; each writes again a while after it was answered. How many were in
/// each round, and how long after its end the next one began.
async fn four_writers(round_takes: Duration, write_again_after: Duration) -> Vec<(usize, Duration)> {
    let mut appends = Loop::start();
    let mut round = stuck(&mut appends).await;
    appends.hand_in_together(3).await;
    let mut seen = Vec::new();
    for _ in 0..100 {
        advance(round_takes).await;
        let writers = round.batches.len();
        let ended = Instant::now();
        for waiting in round.batches {
            waiting.appended.send(Ok(())).expect("its writer waits");
        }
        round.end.send(()).expect("the round is under way");
        settle().await;
        advance(write_again_after).await;
        settle().await;
        appends.hand_in_together(writers).await;
        round = appends.next().await;
        seen.push((writers, round.at - ended));
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn writers_of_slow_rounds_find_together() {
    let rounds = four_writers(SLOW_ROUND * 5, Duration::from_millis(1)).await;
    assert_eq!(rounds[0].0, 1);
    assert!(rounds[1..].iter().all(|(writers, _)| *writers == 4), "{rounds:?}");
}

#[tokio::test(start_paused = true)]
async fn those_who_do_not_come_again_soon_are_seldom_waited_for() {
    let rounds = four_writers(SLOW_ROUND * 5, GATHER_WITHIN * 2 - Duration::from_millis(1)).await;
    let waited = rounds.iter().filter(|(_, waited)| !waited.is_zero()).count();
    assert!((1..10).contains(&waited), "{rounds:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_after_a_quick_round() {
    let rounds = four_writers(SLOW_ROUND / 2, SLOW_ROUND / 4).await;
    assert!(rounds.iter().all(|(writers, waited)| *writers < 4 && waited.is_zero()), "{rounds:?}");
}

#[tokio::test(start_paused = true)]
async fn rounds_that_begin_late_are_bounded() {
    let mut appends = Loop::start();
    let mut rounds = vec![stuck(&mut appends).await];
    while rounds.len() < LATE_ROUNDS_MAX {
        appends.hand_in(1).await;
        rounds.push(appends.next().await);
    }
    let behind = appends.hand_in(1).await;
    sleep(ROUND_PATIENCE * 10).await;
    appends.none_begins();
    // One that ends makes room for one.
    rounds.pop().expect("many").end.send(()).expect("the round is under way");
    let last = appends.next().await;
    assert_eq!(last.batches.len(), 1);
    behind.abort();
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_appended() {
    let mut appends = Loop::start();
    let first = stuck(&mut appends).await;
    let gone = appends.hand_in(7).await;
    let kept = appends.hand_in(8).await;
    gone.abort();
    settle().await;
    first.end.send(()).expect("the round is under way");
    let mut second = appends.next().await;
    assert_eq!(second.batches.iter().map(|waiting| waiting.batch.len()).collect::<Vec<_>>(), [8]);
    let waiting = second.batches.pop().expect("one batch");
    waiting.appended.send(Ok(())).expect("its caller waits");
    assert!(matches!(kept.await.expect("the caller ends"), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn callers_that_have_gone_make_room_even_while_no_round_may_begin() {
    let mut appends = Loop::start();
    let mut rounds = vec![stuck(&mut appends).await];
    while rounds.len() < LATE_ROUNDS_MAX {
        appends.hand_in(1).await;
        rounds.push(appends.next().await);
    }
    // As many as the loop looks at, as many as may wait to be looked at, and one more.
    let mut callers = Vec::new();
    for _ in 0..=ROUND_BATCHES_MAX + QUEUE_MAX {
        callers.push(appends.hand_in(1).await);
    }
    assert_eq!(appends.appender.queue.capacity(), 0);
    callers.iter().for_each(JoinHandle::abort);
    drop(join_all(callers).await);
    sleep(ROUND_PATIENCE * 2).await;
    assert_eq!(appends.appender.queue.capacity(), QUEUE_MAX);
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_when_nobody_can_hand_in_any_more() {
    let Loop { appender, running, begun } = Loop::start();
    drop(appender);
    running.await.expect("the loop ends");
    drop(begun);
}

#[tokio::test]
async fn each_caller_of_a_round_gets_its_own_result_and_unknown_when_there_is_none() {
    let (callers, answers): (Vec<_>, Vec<_>) = (0..5).map(|_| oneshot::channel()).unzip();
    let refused = ClientWriteError::ForwardToLeader(ForwardToLeader::empty());
    let results: [Appended<()>; 3] = [Ok(Ok(())), Ok(Err(refused)), Ok(Ok(()))];
    let mut answers = answers.into_iter();
    // The first one's caller has gone, which is nobody else's matter.
    drop(answers.next());
    // As Raft's own, it panics when it is asked again after its end.
    let results =
        futures::stream::unfold(results.into_iter(), |mut results| async { Some((results.next()?, results)) });
    answer_in_turn(Box::pin(results), callers).await;
    let answers: Vec<_> = join_all(answers).await.into_iter().map(|answer| answer.expect("an answer")).collect();
    assert!(matches!(answers[..], [Err(Error::NotLeader), Ok(()), Err(Error::Unknown), Err(Error::Unknown)]));
}
