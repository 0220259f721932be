//! The known name that was probably meant.

/// The candidate nearest to `name`, if one is near enough to be worth suggesting.
///
/// Case counts for nothing, and a name may be meant by its last part: `v` and `Membrane.v` both find `membrane.V`. About
/// one wrong letter in three is forgiven. Among equally near candidates the first wins.
///
/// ```
/// use sarcolemma::diag::nearest;
/// assert_eq!(nearest("membrane.v", ["sodium.m", "membrane.V"]), Some("membrane.V"));
/// assert_eq!(nearest("qq", ["sodium.m", "membrane.V"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let Some(d) = apart(&wanted, &candidate.to_lowercase()) else {
            continue;
        };
        if best.is_none_or(|(least, _)| d < least) {
            best = Some((d, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn apart(wanted: &str, known: &str) -> Option<usize> {
    match (wanted.rsplit_once('.'), known.rsplit_once('.')) {
        (None, None) => distance(wanted, known),
        // A match of the last part alone says less than a match of the whole: it counts one letter.
        (Some((_, last)), None) => distance(last, known).map(|d| d + 1),
        (None, Some((_, last))) => distance(wanted, last).map(|d| d + 1),
        (Some((path, last)), Some((known_path, known_last))) => {
            let last = distance(last, known_last)?;
            match distance(path, known_path) {
                Some(path) => Some(path + last),
                // The right name in the wrong place.
                None => (last == 0).then_some(3),
            }
        }
    }
}

/// Number of wrong letters, where that is a plausible slip.
fn distance(a: &str, b: &str) -> Option<usize> {
    let length = a.chars().count().max(b.chars().count());
    let d = strsim::damerau_levenshtein(a, b);
    (d <= length / 3 || (d <= 1 && length >= 2)).then_some(d)
}
