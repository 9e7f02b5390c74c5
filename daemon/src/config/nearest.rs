//! The "did you mean" hint: the nearest of the names that exist.

use strsim::osa_distance;

/// The candidate with the smallest edit distance to `name`, if it is near enough to be a typing
/// mistake: at most a third of the name's letters, and at least one. Two neighbouring letters that
/// are swapped count as one edit.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(&name, candidate), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_are_found_and_other_words_are_not() {
        let names = ["realm", "relay", "limits", "listen"];
        assert_eq!(nearest("raelm", names), Some("realm"));
        assert_eq!(nearest("Relay", names), Some("relay"));
        assert_eq!(nearest("limit", names), Some("limits"));
        assert_eq!(nearest("kubernetes", names), None);
    }
}
