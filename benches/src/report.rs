//! The text and the plot.

use std::fmt::Write as _;
use std::fs;
use std::thread;

use crate::goals::Goal;
use crate::measure::{Case, Table, spread};

/// What the figures do not say by themselves.
const NOTES: &str = include_str!("../notes.md");

/// All of it, in Markdown.
#[must_use]
pub fn text(tables: &[Table<'_>], goals: &[Goal], rounds: usize) -> String {
    let mut text = format!(
        "# What rauthbind costs\n\n\
         Written by `cargo xtask bench`, in {rounds} rounds, on {}.\n\n\
         In each round every way has its turn, beginning with another one each time, and is measured by the quickest \
         quarter of its tries. A figure is the best of all rounds, a ratio is between two of those: what it costs \
         where nothing else gets in the way. How much did, the lowest and the highest show.\n\n\
         ![The same as bars](bench.svg)\n\n\
         ## What was to be reached\n\n\
         | what | at most | is | |\n|---|--:|--:|---|\n",
        machine()
    );
    for Goal { what, most, is } in goals {
        let reached = if is <= most { "reached" } else { "**not reached**" };
        let _ = writeln!(text, "| {what} | {most:.3} | {is:.3} | {reached} |");
    }
    for table in tables {
        let Table { title, unit, about, cases, .. } = table;
        let _ = write!(text, "\n## {title}\n\n{about}\n\n| | {unit} | lowest–highest | ratio |\n|---|--:|--:|--:|\n");
        for Case { way, figures, .. } in cases {
            let [lowest, highest] = spread(figures).map(figure);
            let (is, first) = (table.best(way), table.best(cases[0].way));
            let _ = writeln!(text, "| {way} | {} | {lowest}–{highest} | {:.2} |", figure(is), is / first);
        }
    }
    text + "\n" + NOTES
}

/// What it ran on.
fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let count = thread::available_parallelism().map_or(1, usize::from);
    format!("{count} processors ({}), Linux {}", model.map_or("unknown", |(_, model)| model), kernel.trim())
}

/// With as many digits as make sense.
fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

const WIDTH: f64 = 890.0;
const LABELS: f64 = 260.0;
const BARS: f64 = 480.0;
const LINE: f64 = 20.0;

/// From here on a bar is as long as the logarithm of its figure.
const WIDE: f64 = 30.0;

/// The tables as bars (SVG).
#[must_use]
pub fn plot(tables: &[Table<'_>]) -> String {
    let mut drawing = String::new();
    let mut top = LINE;
    for table in tables {
        let Table { title, unit, cases, .. } = table;
        let best: Vec<_> = cases.iter().map(|case| table.best(case.way)).collect();
        let [lowest, highest] = spread(&best);
        let is_wide = highest / lowest > WIDE;
        let length = |value: f64| {
            // A tenth of the lowest has no length.
            let part = if is_wide {
                (value / lowest * 10.0).log10() / (highest / lowest * 10.0).log10()
            } else {
                value / highest
            };
            BARS * part.clamp(0.0, 1.1)
        };
        let scale = if is_wide { ", logarithmic" } else { "" };
        let _ = writeln!(drawing, r#"<text x="10" y="{top}" font-weight="bold">{title} ({unit}{scale})</text>"#);
        for (Case { way, figures, .. }, is) in cases.iter().zip(best) {
            top += LINE;
            let colour = if way.starts_with("rauthbind") { "#3465a4" } else { "#babdb6" };
            let (middle, bar) = (top - 5.0, length(is));
            let [from, to] = spread(figures).map(|value| LABELS + length(value));
            let _ = writeln!(
                drawing,
                r##"<text x="{}" y="{top}" text-anchor="end">{way}</text>
<rect x="{LABELS}" y="{}" width="{bar:.1}" height="14" fill="{colour}"/>
<path d="M{from:.1} {middle}H{to:.1}" stroke="#2e3436"/>
<text x="{:.1}" y="{top}">{}</text>"##,
                LABELS - 6.0,
                top - 12.0,
                to.max(LABELS + bar) + 6.0,
                figure(is)
            );
        }
        top += 2.0 * LINE;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{drawing}</svg>\n"
    )
}
