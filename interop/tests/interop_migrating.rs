//! The program of docs/migrating.md for zmq.rs runs as it stands there. The one for pyzmq runs in `interop_pyzmq.rs`, and that for zerohop
//! is a doctest of the crate.

const PAGE: &str = include_str!("../../docs/migrating.md");
const THIS: &str = include_str!("interop_migrating.rs");

// Also on the page.
fn resize() -> Result<String, Box<dyn std::error::Error>> {
    let context = zmq::Context::new();
    let jobs = context.socket(zmq::PULL)?;
    jobs.set_rcvhwm(100)?;
    jobs.set_rcvtimeo(5000)?;
    jobs.bind("tcp://127.0.0.1:*")?;
    let endpoint = jobs.get_last_endpoint()?.map_err(|_| "no text")?;
    let source = context.socket(zmq::PUSH)?;
    source.set_linger(1000)?;
    source.connect(&endpoint)?;

    source.send_multipart(["resize", "photo.jpg"], 0)?;
    let parts = jobs.recv_multipart(0)?;
    let [kind, name] = parts.as_slice() else {
        return Err("not two frames".into());
    };
    Ok(format!(
        "{} {}",
        str::from_utf8(kind)?,
        str::from_utf8(name)?
    ))
}

#[test]
fn the_program_for_zmq_rs_runs_as_it_stands() {
    assert_eq!(resize().expect("a job"), "resize photo.jpg");
    let shown = block("```rs\n");
    let (_, here) = THIS.split_once("// Also on the page.\n").expect("a mark");
    let (here, _) = here.split_once("\n}\n").expect("an end");
    assert_eq!(shown, format!("{here}\n}}\n"));
}

/// The first block of the page that begins so.
fn block(start: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(start).expect("a block");
    rest.split("```").next().unwrap_or_default()
}
