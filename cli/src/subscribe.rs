//! `zerohop sub`.

use zerohop::{ReplayFrom, Sub};

use crate::args::TopicArgs;
use crate::failure::{Failure, Outcome};
use crate::receive::{self, ReceiverArgs};
use crate::value::From;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --exec the message is the command's standard input, and its frames are its arguments $1, $2, ... as for pull. While commands \
run, publishers skip this subscriber as soon as --jobs messages and the system's buffers are full.

Examples:
  zerohop sub --connect tcp://localhost:5556
  zerohop sub --connect tcp://localhost:5556 --topic weather --topic news --format json | jq '.[1]'
  zerohop sub --connect ipc:///tmp/news --count 1 --timeout 10s
  zerohop sub --connect ipc:///tmp/news --from last:10
  zerohop sub --connect ipc:///tmp/news --from resume:news.cursor
  zerohop sub --connect tcp://localhost:5556 --topic alarm --parts ' ' --exec 'mail -s \"$2\" me'")]
pub(crate) struct Args {
    #[command(flatten)]
    topics: TopicArgs,
    /// Begin in the log of the publisher (pub --log) at WHERE: now, all, last:N, offset:N, time:AGE-ago, time:SECONDS or resume:FILE
    ///
    /// last:N: the last N messages, of each topic.
    /// offset:N: the message with this number, counted from 1.
    /// time:2h-ago, time:1767225600: what was published since then; a number is seconds since 1970.
    /// resume:FILE: where a subscriber was that has kept that in this file, with all if there is none. It is for one topic. Messages count as done once the next one is
    /// asked for, or the command ends. If it is killed outright, those of the last moment may be missing or come twice. A publisher without a log sends what it publishes from now on.
    #[arg(long, value_name = "WHERE")]
    from: Option<From>,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let from = args.from.as_ref().map(|From(from)| from);
    if matches!(from, Some(ReplayFrom::Resume(_))) && args.topics.count() > 1 {
        return Err(Failure::usage("--from resume:FILE is for one --topic"));
    }
    let subscribe = |sub: &Sub| {
        args.topics.subscribe(|topic| match from {
            Some(from) => sub.subscribe_from(topic, from.clone()),
            None => sub.subscribe(topic),
        })
    };
    receive::run(&args.receiver, subscribe)
}
