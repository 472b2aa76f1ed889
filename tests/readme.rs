//! What the README promises besides code. Its Rust is run as a doctest of the crate, its Python by
//! `interop_pyzmq.rs`.

use std::path::Path;

const README: &str = include_str!("../README.md");

#[test]
fn both_commands_are_there() {
    let commands: Vec<&str> = README
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(str::trim)
        .collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        assert!(
            command.starts_with("cargo ") && !command.contains('\n'),
            "{command}"
        );
    }
}

#[test]
fn what_it_points_to_is_there() {
    let links = README
        .split("](")
        .skip(1)
        .chain(README.split("]: ").skip(1));
    let files = links
        .filter_map(|rest| rest.split([')', '\n', '#']).next())
        .filter(|target| !target.starts_with("http"));
    for file in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert!(path.exists(), "the README links to {file}");
    }
}
