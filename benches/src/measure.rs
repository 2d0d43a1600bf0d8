//! Tables of cases, measured round by round; the best of them and their ratios.

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
    /// Whether more is better.
    pub is_more_better: bool,
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
    /// The best figure of a way.
    ///
    /// # Panics
    /// It is not in this table, or was not measured.
    #[must_use]
    pub fn best(&self, way: &str) -> f64 {
        let case = self.cases.iter().find(|case| case.way == way);
        let figures = &case.unwrap_or_else(|| panic!("{way} is not in the table of {}", self.title)).figures;
        let [lowest, highest] = spread(figures);
        if self.is_more_better { highest } else { lowest }
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

/// The lowest and the highest.
#[must_use]
pub fn spread(figures: &[f64]) -> [f64; 2] {
    [figures.iter().copied().fold(f64::INFINITY, f64::min), figures.iter().copied().fold(f64::NEG_INFINITY, f64::max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_lowest_or_the_highest() {
        let mut case = Case::new("way", || 0.0);
        case.figures = vec![2.0, 1.0, 3.0];
        let mut table = Table { title: "", unit: "", about: "", is_more_better: false, cases: vec![case] };
        assert_eq!(table.best("way"), 1.0);
        table.is_more_better = true;
        assert_eq!(table.best("way"), 3.0);
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
        let cases = vec![case("a"), case("b"), case("c")];
        let mut tables = [Table { title: "", unit: "", about: "", is_more_better: false, cases }];
        measure(&mut tables, 3);
        assert_eq!(tables[0].cases[1].figures, [1.0; 3]);
        assert_eq!(order.borrow().concat(), "abcbcacab");
    }
}
