//! The charts of the report, and the picture of the README, as SVG.
//!
//! Lines and letters are drawn in [`INK`] and then renamed to `currentColor`, so that a chart takes the colour of
//! the text around it, on light paper and on dark. The series' colours are readable on both.

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::child::{Fallible, Fault};
use super::results::{Metric, Results, WorkloadResult};
use super::workload::{Size, Transport, Work};

mod ratios;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Not quite black, so that it can be found again.
const INK: RGBColor = RGBColor(1, 2, 3);
const INK_IN_SVG: &str = "#010203";

const COLOURS: [RGBColor; 12] = [
    RGBColor(0xe4, 0x57, 0x2e),
    RGBColor(0x3f, 0x7f, 0xbf),
    RGBColor(0x8a, 0x8f, 0x98),
    RGBColor(0x4d, 0xa1, 0x67),
    RGBColor(0xa8, 0x6f, 0xb5),
    RGBColor(0xd0, 0xa2, 0x15),
    RGBColor(0x3f, 0xa7, 0xa3),
    RGBColor(0xa0, 0x78, 0x5c),
    RGBColor(0xd9, 0x5f, 0x9b),
    RGBColor(0x6f, 0x7d, 0xd8),
    RGBColor(0x8c, 0xb3, 0x3f),
    RGBColor(0xb8, 0x4a, 0x4a),
];

/// Each has its colour in every chart, whoever else takes part.
const KNOWN: [&str; 3] = ["zerohop", "libzmq", "raw"];

/// The colour of a contestant; of one that is not known, by its number among those.
fn colour_of(name: &str, number: usize) -> RGBColor {
    let known = KNOWN.iter().position(|known| *known == name);
    let others = COLOURS.len() - KNOWN.len();
    COLOURS[known.unwrap_or(KNOWN.len() + number % others)]
}

const WIDTH: u32 = 720;
const HEIGHT: u32 = 420;

/// A chart with its heading.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// One contestant's points.
struct Series {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    /// The least and the most of all rounds at each point.
    spread: Vec<(f64, f64, f64)>,
}

/// What a chart of lines shows.
struct Lines {
    series: Vec<Series>,
    x_label: &'static str,
    y_label: &'static str,
    /// Names of the integers on the x axis; where there are none, it is a logarithmic axis of numbers.
    x_names: Vec<String>,
    show_y: fn(f64) -> String,
}

/// All charts that the results have figures for.
pub(crate) fn charts(results: &Results) -> Fallible<Vec<Chart>> {
    let mut charts = Vec::new();
    charts.extend(ratios::chart(results)?);
    for transport in [Transport::Tcp, Transport::Ipc, Transport::Inproc] {
        for (metric, what) in [
            (Metric::MessagesPerSecond, "messages per second"),
            (Metric::BytesPerSecond, "payload bytes per second"),
            (Metric::CpuPerMessage, "processor time per message"),
        ] {
            let title = format!("PUSH/PULL over {transport}: {what} by size");
            let lines = by_size(results, transport, metric);
            charts.extend(line_chart(title, &lines)?);
        }
    }
    for (metric, what) in [
        (Metric::LatencyP50, "p50"),
        (Metric::LatencyP99, "p99"),
        (Metric::LatencyP999, "p99.9"),
    ] {
        let title = format!("Open loop over tcp: latency {what} against load");
        charts.extend(line_chart(title, &by_load(results, metric))?);
    }
    Ok(charts)
}

/// Writes the picture of the README: throughput by size and latency against load, with where and when.
pub(crate) fn save_picture(results: &Results, path: &Path) -> Fallible<()> {
    const CAPTION_LINE: u32 = 18;
    /// About what a letter of it takes.
    const LETTER: u32 = 7;

    let throughput = by_size(results, Transport::Tcp, Metric::MessagesPerSecond);
    let latency = by_load(results, Metric::LatencyP50);
    let panels: Vec<(&str, &Lines)> = [
        ("PUSH/PULL over tcp: messages/s by size", &throughput),
        ("latency p50 against load, tcp, 64 B", &latency),
    ]
    .into_iter()
    .filter(|(_, lines)| lines.can_be_drawn())
    .collect();
    if panels.is_empty() {
        return Err("the results have nothing for the picture".into());
    }
    // So narrow that its text can be read where a page is 800 pixels wide.
    let width = WIDTH * panels.len() as u32 * 2 / 3;
    let text = format!(
        "{}; medians of {} rounds, and the range",
        results.describe(),
        results.rounds
    );
    let caption = wrapped(&text, (width / LETTER) as usize);
    let below = CAPTION_LINE * (caption.len() as u32 + 1);
    let svg = draw(width, HEIGHT + below, |root| {
        let (above, below) = root.split_vertically(HEIGHT);
        for (area, (title, lines)) in above.split_evenly((1, panels.len())).iter().zip(&panels) {
            draw_lines(area, Some(title), lines)?;
        }
        for (line, text) in caption.into_iter().enumerate() {
            let y = 6 + CAPTION_LINE as i32 * line as i32;
            below.draw(&Text::new(text, (12, y), ink_text(13)))?;
        }
        Ok(())
    })?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, on_its_own(&svg))?;
    Ok(())
}

/// The words of a text in lines of so many letters at the most, as far as no word is longer.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Gives a chart that stands in no page the colours that a page would give it.
fn on_its_own(svg: &str) -> String {
    const STYLE: &str = "<style>svg{color:#24292f;background:#fff}\
        @media(prefers-color-scheme:dark){svg{color:#d0d7de;background:#0d1117}}</style>";
    match svg.find('>') {
        Some(end) => format!("{}{STYLE}{}", &svg[..=end], &svg[end + 1..]),
        None => svg.to_owned(),
    }
}

fn by_size(results: &Results, transport: Transport, metric: Metric) -> Lines {
    let mut of_transport: Vec<&WorkloadResult> = results
        .workloads
        .iter()
        .filter(|result| result.workload.work == Work::PushPull)
        .filter(|result| result.workload.transport == transport)
        .collect();
    of_transport.sort_by_key(|result| result.workload.size);
    let x_of = |index: usize, _: &WorkloadResult| index as f64;
    Lines {
        series: series(results, &of_transport, metric, x_of),
        x_label: "message size",
        y_label: axis_label(metric),
        x_names: of_transport
            .iter()
            .map(|result| Size(result.workload.size).to_string())
            .collect(),
        show_y: shower(metric),
    }
}

fn by_load(results: &Results, metric: Metric) -> Lines {
    let open_loops: Vec<&WorkloadResult> = results
        .workloads
        .iter()
        .filter(|result| result.workload.work == Work::OpenLoop)
        .collect();
    let x_of = |_, result: &WorkloadResult| result.workload.rate.unwrap_or_default();
    Lines {
        series: series(results, &open_loops, metric, x_of),
        x_label: "offered messages/s",
        y_label: axis_label(metric),
        x_names: Vec::new(),
        show_y: shower(metric),
    }
}

/// A line for each contestant, in the colour that it has in every chart.
fn series(
    results: &Results,
    workloads: &[&WorkloadResult],
    metric: Metric,
    x_of: impl Fn(usize, &WorkloadResult) -> f64,
) -> Vec<Series> {
    let names = results.contestants();
    let unknown = |name: &&str| !KNOWN.contains(name);
    let others: Vec<&str> = names.iter().copied().filter(unknown).collect();
    let all = names.into_iter().map(|name| {
        let number = others.iter().position(|other| *other == name);
        let summaries = workloads.iter().enumerate().filter_map(|(index, result)| {
            Some((x_of(index, result), result.summary(name, metric)?))
        });
        let (points, spread) = summaries
            .map(|(x, summary)| ((x, summary.median), (x, summary.min, summary.max)))
            .unzip();
        Series {
            name: name.to_owned(),
            colour: colour_of(name, number.unwrap_or(0)),
            points,
            spread,
        }
    });
    all.filter(|series| !series.points.is_empty()).collect()
}

/// What the numbers of an axis are; unlike a column's, they bring their unit.
fn axis_label(metric: Metric) -> &'static str {
    match metric {
        Metric::CpuPerMessage => "CPU time per message",
        Metric::BytesPerSecond => "payload",
        Metric::MessagesPerSecond
        | Metric::ConnectionsPerSecond
        | Metric::LatencyP50
        | Metric::LatencyP99
        | Metric::LatencyP999
        | Metric::LatencyMean
        | Metric::BytesPerAccepted
        | Metric::BytesPerConnected => metric.label(),
    }
}

fn shower(metric: Metric) -> fn(f64) -> String {
    match metric {
        Metric::MessagesPerSecond | Metric::ConnectionsPerSecond => |value| plain(value, ""),
        Metric::BytesPerSecond => |value| plain(value, "B/s"),
        Metric::CpuPerMessage
        | Metric::LatencyP50
        | Metric::LatencyP99
        | Metric::LatencyP999
        | Metric::LatencyMean => |value| plain(value / 1e9, "s"),
        Metric::BytesPerAccepted | Metric::BytesPerConnected => |value| plain(value, "B"),
    }
}

/// A number of an axis: few digits and a prefix of the unit.
fn plain(value: f64, unit: &str) -> String {
    let prefixes = [
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
    ];
    let fits = |(scale, _): &&(f64, &str)| value >= *scale * 0.999;
    match prefixes.iter().find(fits) {
        Some((scale, prefix)) => {
            let digits = (value / scale * 10.0).round() / 10.0;
            format!("{digits} {prefix}{unit}").trim_end().to_owned()
        }
        None => "0".to_owned(),
    }
}

impl Lines {
    /// A line needs two points.
    fn can_be_drawn(&self) -> bool {
        self.series.iter().any(|series| series.points.len() > 1)
    }

    /// The range of one coordinate, with a margin.
    fn range(&self, coordinate: fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let points = self.series.iter().flat_map(|series| {
            let spread = series.spread.iter();
            let ends = spread.flat_map(|&(x, least, most)| [(x, least), (x, most)]);
            series.points.iter().copied().chain(ends)
        });
        let values = points.map(|point| coordinate(&point));
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        (low.max(1e-3) * 0.7, high * 1.4)
    }
}

fn line_chart(title: String, lines: &Lines) -> Fallible<Option<Chart>> {
    if !lines.can_be_drawn() {
        return Ok(None);
    }
    let svg = draw(WIDTH, HEIGHT, |root| draw_lines(root, None, lines))?;
    Ok(Some(Chart { title, svg }))
}

fn draw_lines(area: &Area<'_>, title: Option<&str>, lines: &Lines) -> Result<(), Box<dyn Error>> {
    let (bottom, top) = lines.range(|point| point.1);
    let area = match title {
        Some(title) => &area.titled(title, ink_text(16))?,
        None => area,
    };
    let area = &draw_legend(area, &lines.series)?;
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(12)
        .margin_top(4)
        .x_label_area_size(48)
        .y_label_area_size(84);
    // From a power of ten, so that there are numbers on the axis however short it is.
    let y = (10f64.powf(bottom.log10().floor())..top).log_scale();
    if lines.x_names.is_empty() {
        let (left, right) = lines.range(|point| point.0);
        let chart = builder.build_cartesian_2d((left..right).log_scale(), y)?;
        draw_series(chart, lines, &|x| plain(*x, ""))
    } else {
        let last = lines.x_names.len() as f64 - 1.0;
        let chart = builder.build_cartesian_2d(-0.2..last + 0.2, y)?;
        let name = |x: &f64| {
            let is_whole = (x - x.round()).abs() < 1e-6;
            let name = lines.x_names.get(x.round() as usize);
            name.filter(|_| is_whole).cloned().unwrap_or_default()
        };
        draw_series(chart, lines, &name)
    }
}

fn draw_series<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    lines: &Lines,
    show_x: &dyn Fn(&f64) -> String,
) -> Result<(), Box<dyn Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .axis_style(INK.mix(0.4))
        .bold_line_style(INK.mix(0.13))
        .light_line_style(TRANSPARENT)
        .label_style(ink_text(14))
        .x_desc(lines.x_label)
        .y_desc(lines.y_label)
        .x_labels(lines.x_names.len().max(6) + 1)
        .y_labels(8)
        .x_label_formatter(show_x)
        .y_label_formatter(&|y| (lines.show_y)(*y))
        .draw()?;
    for series in &lines.series {
        let style = series.colour.stroke_width(3);
        let points = series.points.iter().copied();
        let spread = series.spread.iter().map(|&(x, least, most)| {
            PathElement::new(
                [(x, least), (x, most)],
                series.colour.mix(0.45).stroke_width(6),
            )
        });
        chart.draw_series(spread)?;
        chart.draw_series(LineSeries::new(points.clone(), style))?;
        chart.draw_series(points.map(|point| Circle::new(point, 4, series.colour.filled())))?;
    }
    Ok(())
}

/// Draws the names of the series in rows above what it gives back, where no line can cross them.
fn draw_legend<'a>(area: &Area<'a>, series: &[Series]) -> Result<Area<'a>, Box<dyn Error>> {
    const LEFT: i32 = 96;
    const ROW: i32 = 20;
    const STROKE: i32 = 16;
    /// About what a letter of this size takes.
    const LETTER: i32 = 8;

    let (width, _) = area.dim_in_pixel();
    let (mut x, mut row) = (LEFT, 0);
    let mut places = Vec::new();
    for series in series {
        let needed = STROKE + 6 + LETTER * series.name.len() as i32 + 14;
        if x + needed > width as i32 && x > LEFT {
            (x, row) = (LEFT, row + 1);
        }
        places.push((x, row * ROW + ROW / 2 + 2));
        x += needed;
    }
    let (above, below) = area.split_vertically((row + 1) * ROW + 2);
    for (series, (x, y)) in series.iter().zip(places) {
        let stroke = [(x, y), (x + STROKE, y)];
        above.draw(&PathElement::new(stroke, series.colour.stroke_width(4)))?;
        let middle = ink_text(14).pos(Pos::new(HPos::Left, VPos::Center));
        above.draw(&Text::new(
            series.name.as_str(),
            (x + STROKE + 6, y),
            middle,
        ))?;
    }
    Ok(below)
}

fn draw(
    width: u32,
    height: u32,
    paint: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn Error>>,
) -> Fallible<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        let painted = paint(&root).and_then(|()| Ok(root.present()?));
        painted.map_err(|error| Fault::from(error.to_string()))?;
    }
    Ok(svg.replace(INK_IN_SVG, "currentColor"))
}

fn ink_text<'a>(size: u32) -> TextStyle<'a> {
    ("system-ui, sans-serif", size).into_font().color(&INK)
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_no_longer_than_they_may_be() {
        let wrapped = super::wrapped;
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two three", 6), ["one", "two", "three"]);
        assert_eq!(wrapped("alongword one", 4), ["alongword", "one"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
