//! How many times better zerohop is than the reference, workload by workload.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::child::Fallible;
use super::super::results::{Reference, Results};
use super::super::table;
use super::{Chart, INK, WIDTH, colour_of, draw, ink_text};

const ROW: i32 = 24;
/// The heads of the columns.
const TOP: i32 = 24;
const LABELS: i32 = 325;
/// For the number behind the longest bar.
const RIGHT: i32 = 60;
/// For the head of a column.
const HEAD: i32 = 55;
const ROOM: i32 = WIDTH as i32 - LABELS - RIGHT;

/// One bar for each workload, from "as good" to the right when we are better and to the left when we are not. Twice as
/// good is as long as half as good.
pub(super) fn chart(results: &Results) -> Fallible<Option<Chart>> {
    let reference = results.reference();
    let show = |ratio: f64| match reference {
        Reference::Libzmq => times(ratio),
        Reference::BareSockets => reference.show(ratio),
    };
    let mut rows = Vec::new();
    for result in &results.workloads {
        if let Some(metric) = table::metrics(result).into_iter().next()
            && let Some(ours) = result.median("zerohop", metric)
            && let Some(theirs) = result.median(reference.contestant(), metric)
        {
            let ratio = metric.ratio(ours, theirs);
            if ratio.is_finite() && ratio > 0.0 {
                rows.push((result.workload.title(), ratio));
            }
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let scale = Scale::of(rows.iter().map(|row| row.1));
    let height = TOP + ROW * rows.len() as i32 + 6;
    let svg = draw(WIDTH, height as u32, |root| {
        for doubling in scale.columns() {
            let x = scale.pixels(2f64.powi(doubling));
            let strength = if doubling == 0 { 0.6 } else { 0.15 };
            root.draw(&PathElement::new(
                [(x, TOP - 4), (x, height)],
                INK.mix(strength),
            ))?;
            let middle = ink_text(13).pos(Pos::new(HPos::Center, VPos::Center));
            root.draw(&Text::new(
                show(2f64.powi(doubling)),
                (x, TOP / 2 - 2),
                middle,
            ))?;
        }
        for (index, (title, ratio)) in rows.iter().enumerate() {
            let middle = TOP + index as i32 * ROW + ROW / 2;
            let text = ink_text(14).pos(Pos::new(HPos::Left, VPos::Center));
            let (one, end) = (scale.pixels(1.0), scale.pixels(*ratio));
            let bar = [(one.min(end), middle - 8), (one.max(end), middle + 8)];
            let colour = colour_of("zerohop", 0).mix(if *ratio >= 1.0 { 1.0 } else { 0.55 });
            root.draw(&Rectangle::new(bar, colour.filled()))?;
            root.draw(&Text::new(title.clone(), (4, middle), text.clone()))?;
            root.draw(&Text::new(show(*ratio), (one.max(end) + 6, middle), text))?;
        }
        Ok(())
    })?;
    let title = match reference {
        Reference::Libzmq => "zerohop, times better than libzmq",
        Reference::BareSockets => "zerohop, in percent of bare sockets",
    };
    let title = format!("{title} (first metric of each workload)");
    Ok(Some(Chart { title, svg }))
}

/// A logarithmic axis between two powers of two.
struct Scale {
    first: i32,
    last: i32,
}

impl Scale {
    fn of(ratios: impl Iterator<Item = f64>) -> Scale {
        let (mut first, mut last) = (0, 1);
        for exponent in ratios.map(f64::log2) {
            first = first.min(exponent.floor() as i32);
            last = last.max(exponent.ceil() as i32);
        }
        Scale { first, last }
    }

    /// The powers of two that are told: as many as have room for their heads, and 1 among them.
    fn columns(&self) -> impl Iterator<Item = i32> {
        let step = (self.last - self.first) * HEAD / ROOM + 1;
        (self.first..=self.last).filter(move |doubling| doubling % step == 0)
    }

    fn pixels(&self, ratio: f64) -> i32 {
        let share = (ratio.log2() - f64::from(self.first)) / f64::from(self.last - self.first);
        LABELS + (share * f64::from(ROOM)) as i32
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 10.0 => format!("{ratio:.0} ×"),
        ratio if ratio.fract() == 0.0 => format!("{ratio:.0} ×"),
        ratio if ratio < 0.95 => format!("{ratio:.2} ×"),
        ratio => format!("{ratio:.1} ×"),
    }
}

#[cfg(test)]
#[allow(dead_code, unused_imports)] // `cargo bench` includes this module, and has no test harness to call them.
mod tests {
    use super::*;

    #[test]
    fn heads_of_columns_do_not_overlap() {
        for ratios in [vec![1.5], vec![0.2, 4.0], vec![0.001, 17_000.0], vec![1e9]] {
            let scale = Scale::of(ratios.iter().copied());
            let columns: Vec<i32> = scale.columns().collect();
            assert!(columns.contains(&0) && columns.len() > 1, "{columns:?}");
            let places = columns
                .iter()
                .map(|doubling| scale.pixels(2f64.powi(*doubling)));
            let places: Vec<i32> = places.collect();
            assert!(
                places.windows(2).all(|two| two[1] - two[0] >= HEAD),
                "{places:?}"
            );
        }
    }
}
