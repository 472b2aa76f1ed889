//! Tasks that never have to wait leave others their turn.

use std::time::{Duration, Instant};

use futures_lite::{FutureExt, StreamExt};
use zerohop::{Context, Options, Pull, Push, RecvStream};

/// Far more than any of this takes.
const DEADLINE: Duration = Duration::from_secs(60);

const SOON: Duration = Duration::from_millis(5);

/// What does not have to wait.
#[derive(Clone, Copy)]
enum Step {
    Receive,
    Stream,
    Send,
}

/// Sends and receives by itself until the deadline.
async fn never_wait(step: Step) {
    let context = Context::new();
    // What is not received in the end is not waited for.
    let options = Options::new().linger(Duration::ZERO);
    let push = Push::with_options(&context, options).expect("a PUSH");
    let pull = Pull::new(&context).expect("a PULL");
    pull.bind("inproc://turns").expect("bound");
    push.connect("inproc://turns").expect("connected");
    let mut stream = RecvStream::new(&pull);
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        match step {
            Step::Receive => {
                push.try_send("to myself").expect("sent");
                pull.recv_async().await.expect("a message");
            }
            Step::Stream => {
                push.try_send("to myself").expect("sent");
                stream.next().await.expect("a message");
            }
            Step::Send => {
                push.send_async("to myself").await.expect("sent");
                pull.try_recv().expect("a message");
            }
        }
    }
}

#[test]
fn a_time_limit_is_kept_where_nothing_has_to_wait() {
    let one = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let several = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtimes = [one, several].map(|runtime| runtime.expect("a runtime"));
    for step in [Step::Receive, Step::Stream, Step::Send] {
        for runtime in &runtimes {
            let limited = async { tokio::time::timeout(SOON, never_wait(step)).await };
            assert!(runtime.block_on(limited).is_err(), "the limit was not kept");
        }
        let timer = async {
            async_io::Timer::after(SOON).await;
            true
        };
        let work = async {
            never_wait(step).await;
            false
        };
        assert!(
            futures_lite::future::block_on(timer.or(work)),
            "the timer was not looked at"
        );
    }
}
