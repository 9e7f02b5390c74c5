//! The order of SRV records (RFC 2782).

use rand::{Rng, RngExt as _};

use super::dns::SrvRecord;

/// Sorts records in the order in which to try them: by priority, and at random by weight within a
/// priority (RFC 2782).
pub(super) fn ordered(mut records: Vec<SrvRecord>, rng: &mut impl Rng) -> Vec<SrvRecord> {
    // "arranged in any order, except that all those with weight 0 are placed at the beginning of
    // the list": so they have a small chance.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut sorted = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let level = records.iter().take_while(|record| record.priority == priority);
        let total: u32 = level.map(|record| u32::from(record.weight)).sum();
        let chosen = rng.random_range(0..=total);
        let mut running = 0;
        let at = records.iter().position(|record| {
            running += u32::from(record.weight);
            running >= chosen
        });
        sorted
            .push(records.remove(at.expect("the running sum reaches the total within the level")));
    }
    sorted
}

/// "If there is precisely one SRV RR, and its Target is "." (the root domain), abort" (RFC 2782).
pub(super) fn is_denial(records: &[SrvRecord]) -> bool {
    matches!(records, [only] if only.target == ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, port: 3478, target: target.into() }
    }

    #[test]
    fn rfc2782_lower_priorities_come_first() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..100 {
            let sorted = ordered(
                vec![record(20, 9, "c"), record(10, 0, "a"), record(10, 5, "b"), record(5, 0, "z")],
                &mut rng,
            );
            assert_eq!(sorted[0].target, "z");
            assert_eq!(sorted[3].target, "c");
        }
    }

    #[test]
    fn rfc2782_weights_are_shares() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut first = [0; 3];
        for _ in 0..4000 {
            let sorted =
                ordered(vec![record(1, 0, "0"), record(1, 1, "1"), record(1, 3, "2")], &mut rng);
            first[sorted[0].target.parse::<usize>().unwrap()] += 1;
        }
        // Of the five numbers from 0 to 4 one is the weightless record's, one the light one's,
        // three the heavy one's.
        for (count, share) in first.into_iter().zip([800, 800, 2400]) {
            assert!((share - 150..share + 150).contains(&count), "{first:?}");
        }
    }

    #[test]
    fn rfc2782_a_root_target_alone_says_there_is_no_such_service() {
        assert!(is_denial(&[record(0, 0, ".")]));
        assert!(!is_denial(&[record(0, 0, "."), record(0, 0, "a.")]));
        assert!(!is_denial(&[]));
    }
}
