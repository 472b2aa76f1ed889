//! Lists in files, which change while the socket is in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use zerohop::{Allow, Context, Denial, DisconnectCause, Options, Pull, Push};

use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::unique;

struct Server {
    context: Context,
    pull: Pull,
    endpoint: String,
}

impl Server {
    fn with_list(path: &Path) -> Server {
        let context = Context::new();
        let options = Options::new().plain_server(true).allow(Allow::path(path));
        let pull = Pull::with_options(&context, options).expect("a PULL");
        let endpoint = pull.bind("ipc://*").expect("bound").to_string();
        Server {
            context,
            pull,
            endpoint,
        }
    }

    fn push(&self, name: &str, password: &str) -> Push {
        let options = Options::new().plain_client(name, password);
        let push = Push::with_options(&self.context, options).expect("a PUSH");
        push.connect(&*self.endpoint).expect("connected");
        push
    }

    fn lets_in(&self, name: &str, password: &str) {
        let push = self.push(name, password);
        push.wait_for_peers(1, DEADLINE).expect("let in");
    }

    fn keeps_out(&self, name: &str, password: &str) -> Denial {
        let inside = self.pull.monitor();
        let _push = self.push(name, password);
        loop {
            match wait_for_end(&inside) {
                DisconnectCause::Denied { denial, .. } => return denial,
                // Of those who were let in before.
                _ => continue,
            }
        }
    }
}

fn scratch() -> PathBuf {
    std::env::temp_dir().join(unique::name())
}

/// As written long ago, so that the list is not read again for its own sake.
fn write_old(path: &Path, text: &str, age: u64) {
    fs::write(path, text).expect("written");
    let file = fs::File::options().write(true).open(path).expect("there");
    let then = SystemTime::now() - Duration::from_secs(age);
    file.set_modified(then).expect("a time");
}

#[test]
fn a_list_is_read_again_when_it_changes() {
    let path = scratch();
    let server = Server::with_list(&path);
    assert_eq!(
        server.keeps_out("alice", "tiger"),
        Denial::Internal,
        "no list yet"
    );
    write_old(&path, "user alice tiger\n", 100);
    server.lets_in("alice", "tiger");
    assert_eq!(server.keeps_out("bob", "lion"), Denial::Credentials);
    // As long as before, and not as old.
    write_old(&path, "user alice lions\n", 90);
    server.lets_in("alice", "lions");
    assert_eq!(server.keeps_out("alice", "tiger"), Denial::Credentials);
    // As long, and written right after it was read.
    fs::write(&path, "user alice bears\n").expect("written");
    server.lets_in("alice", "bears");
    fs::write(&path, "user alice tiger\n").expect("written");
    server.lets_in("alice", "tiger");
    fs::write(&path, "user alice tiger\nuser\n").expect("written");
    assert_eq!(
        server.keeps_out("alice", "tiger"),
        Denial::Internal,
        "half a list"
    );
    fs::remove_file(&path).expect("removed");
    assert_eq!(server.keeps_out("alice", "tiger"), Denial::Internal);
}

#[test]
fn a_directory_is_a_list_of_all_its_files() {
    let folder = scratch();
    fs::create_dir(&folder).expect("a folder");
    let server = Server::with_list(&folder);
    assert_eq!(server.keeps_out("alice", "tiger"), Denial::Credentials);
    fs::write(folder.join("alice"), "user alice tiger").expect("written");
    fs::write(folder.join(".bob.swp"), "user bob lion").expect("written");
    server.lets_in("alice", "tiger");
    assert_eq!(server.keeps_out("bob", "lion"), Denial::Credentials);
    fs::rename(folder.join(".bob.swp"), folder.join("bob")).expect("renamed");
    server.lets_in("bob", "lion");
    // An editor leaves the old one behind.
    fs::rename(folder.join("alice"), folder.join("alice~")).expect("renamed");
    fs::copy(folder.join("alice~"), folder.join("#alice#")).expect("copied");
    assert_eq!(server.keeps_out("alice", "tiger"), Denial::Credentials);
    server.lets_in("bob", "lion");
    fs::remove_dir_all(&folder).expect("removed");
}
