//! Tables of cases, measured round by round; medians and ratios.

use std::fmt;

/// The same thing done in several ways. The first is what the others are compared with.
#[derive(Debug)]
pub struct Table<'w> {
    /// What is measured.
    pub title: &'static str,
    /// What the figures are in.
    pub unit: &'static str,
    /// How it is measured.
    pub about: &'static str,
    /// The ways.
    pub cases: Vec<Case<'w>>,
}

/// One way, and what came of it.
pub struct Case<'w> {
    /// Its name.
    pub way: &'static str,
    /// One figure for each round.
    pub figures: Vec<f64>,
    measure: Box<dyn Fn() -> f64 + 'w>,
}

impl<'w> Case<'w> {
    /// A way that is measured so.
    pub fn new(way: &'static str, measure: impl Fn() -> f64 + 'w) -> Self {
        Self { way, figures: Vec::new(), measure: Box::new(measure) }
    }
}

impl fmt::Debug for Case<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {:?}", self.way, self.figures)
    }
}

impl Table<'_> {
    /// The figures of a way.
    ///
    /// # Panics
    /// It is not in this table.
    #[must_use]
    pub fn figures(&self, way: &str) -> &[f64] {
        let case = self.cases.iter().find(|case| case.way == way);
        &case.unwrap_or_else(|| panic!("{way} is not in the table of {}", self.title)).figures
    }
}

/// Measures every case so many times. All take their turns in each round, beginning with another one each time: what
/// else the machine does meets all of them.
pub fn measure(tables: &mut [Table<'_>], rounds: usize) {
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for Table { cases, .. } in &mut *tables {
            let first = round % cases.len();
            cases.rotate_left(first);
            cases.iter_mut().for_each(|case| case.figures.push((case.measure)()));
            cases.rotate_right(first);
        }
    }
}

/// The one in the middle; of an even number, the mean of the two.
///
/// # Panics
/// There are none.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// What is between the lowest and the highest.
#[must_use]
pub fn spread(figures: &[f64]) -> [f64; 2] {
    [figures.iter().copied().fold(f64::INFINITY, f64::min), figures.iter().copied().fold(0.0, f64::max)]
}

/// One to the other: the median of what it is in each round.
#[must_use]
pub fn ratio(one: &[f64], other: &[f64]) -> f64 {
    median(&one.iter().zip(other).map(|(one, other)| one / other).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 200.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 200.0]), 3.0);
        assert_eq!(median(&[1.0]), 1.0);
    }

    #[test]
    fn a_ratio_is_of_the_same_round() {
        assert_eq!(ratio(&[2.0, 20.0, 200.0], &[1.0, 10.0, 100.0]), 2.0);
    }

    #[test]
    fn every_case_is_measured_in_every_round_and_each_comes_first() {
        let order = std::cell::RefCell::new(Vec::new());
        let case = |way| {
            let order = &order;
            Case::new(way, move || {
                order.borrow_mut().push(way);
                1.0
            })
        };
        let mut tables = [Table { title: "", unit: "", about: "", cases: vec![case("a"), case("b"), case("c")] }];
        measure(&mut tables, 3);
        assert_eq!(tables[0].figures("b"), [1.0; 3]);
        assert_eq!(order.borrow().concat(), "abcbcacab");
    }
}
