//! A web server in front of a shop: each request asks for a price over REQ, and publishes an order over PUB, in the tasks of the web server itself.
//!
//! `cargo run -p zerohop-runtimes --example axum_shop` asks it 512 times at once, and prints what came of that.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zerohop::{Context, Pub, Reactor, Rep, Req, Sub};

/// Requests at once.
const REQUESTS: usize = 512;

/// A client of the web server is not to wait longer than this for the price.
const PATIENCE: Duration = Duration::from_secs(20);

/// What handlers share: sockets are `Send` and `Sync`, and any number of tasks may use one.
struct Shop {
    prices: Req,
    orders: Pub,
}

async fn order(State(shop): State<Arc<Shop>>, Path(item): Path<String>) -> (StatusCode, String) {
    // Dropped when the time is up, and then the request is taken back.
    let price = match timeout(PATIENCE, shop.prices.request_async(item.as_str())).await {
        Ok(Ok(price)) => String::from_utf8_lossy(price.first()).into_owned(),
        Ok(Err(error)) => return (StatusCode::BAD_GATEWAY, error.to_string()),
        Err(_) => return (StatusCode::GATEWAY_TIMEOUT, "no price in time".into()),
    };
    match shop
        .orders
        .send_async(["orders", item.as_str(), price.as_str()])
        .await
    {
        Ok(_) => (StatusCode::OK, format!("{item}: {price}")),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    // The runtime drives the sockets, so that a reply wakes its task without a thread in between.
    let context = Context::with_reactor(Reactor::tokio()?);

    // Somewhere else, as a rule in another process: who knows the prices, …
    let desk = Rep::new(&context)?;
    let prices = desk.bind("tcp://127.0.0.1:*")?;
    thread::spawn(move || {
        while let Ok(request) = desk.recv() {
            let price = format!("{}.50", request.message().size());
            if request.reply(price).is_err() {
                break;
            }
        }
    });

    let shop = Shop {
        prices: Req::new(&context)?,
        orders: Pub::new(&context)?,
    };
    shop.prices.connect(prices)?;

    // … and who books the orders.
    let books = Sub::new(&context)?;
    books.subscribe("orders")?;
    books.connect(shop.orders.bind("tcp://127.0.0.1:*")?)?;
    shop.orders
        .wait_for_subscribers("orders", 1, Duration::from_secs(10))?;

    let app = Router::new()
        .route("/order/{item}", get(order))
        .with_state(Arc::new(shop));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut clients = JoinSet::new();
    for number in 0..REQUESTS {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            let request = format!(
                "GET /order/item{number} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await?;
            let mut response = String::new();
            stream.read_to_string(&mut response).await?;
            let price = format!("item{number}: {}.50", format!("item{number}").len());
            Ok::<_, std::io::Error>(
                response.starts_with("HTTP/1.1 200") && response.ends_with(&price),
            )
        });
    }
    let mut answered = 0;
    for outcome in clients.join_all().await {
        answered += usize::from(outcome?);
    }
    let mut booked = 0;
    while booked < REQUESTS {
        match timeout(PATIENCE, books.recv_async()).await {
            Ok(order) => order?,
            Err(_) => break,
        };
        booked += 1;
    }
    println!("{answered} answered, {booked} booked");
    Ok(())
}
