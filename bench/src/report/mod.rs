//! What was measured, for people.

use crate::load::Direction;

/// What one slice showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// Server time on the processor for each datagram delivered, in nanoseconds.
    pub(crate) nanoseconds: f64,
    /// Datagrams delivered a second.
    pub(crate) rate: f64,
    /// Datagrams that were sent and never came.
    pub(crate) lost: u64,
}

/// The medians of both servers and the quartiles of the paired ratios.
pub(crate) fn print(direction: Direction, pairs: &[(Slice, Slice)]) {
    let of = |pick: fn(&(Slice, Slice)) -> f64| quartiles(pairs.iter().map(pick).collect());
    let [_, ours, _] = of(|(us, _)| us.nanoseconds);
    let [_, theirs, _] = of(|(_, them)| them.nanoseconds);
    let [_, our_rate, _] = of(|(us, _)| us.rate);
    let [_, their_rate, _] = of(|(_, them)| them.rate);
    let [low, ratio, high] = of(|(us, them)| us.nanoseconds / them.nanoseconds);
    let lost = |pick: fn(&(Slice, Slice)) -> u64| pairs.iter().map(pick).sum::<u64>();
    println!(
        "{direction:?}: {ours:.0} ns against {theirs:.0} ns a datagram; ratio {ratio:.2} ({low:.2} to {high:.2}); \
         {our_rate:.0}/s against {their_rate:.0}/s; lost {} and {}",
        lost(|(us, _)| us.lost),
        lost(|(_, them)| them.lost),
    );
}

/// First quartile, median, third quartile.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values.get(((values.len() - 1) as f64 * part).round() as usize).copied().unwrap_or(f64::NAN);
    [at(0.25), at(0.5), at(0.75)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_five() {
        assert_eq!(quartiles(vec![5.0, 1.0, 4.0, 2.0, 3.0]), [2.0, 3.0, 4.0]);
    }
}
