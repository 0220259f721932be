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
    let wanted_last = last(&wanted);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let known = candidate.to_lowercase();
        let whole = distance(&wanted, &known);
        // A match of the last part alone says less than a match of the whole: it counts one letter.
        let part = if wanted.contains('.') || known.contains('.') {
            distance(wanted_last, last(&known)).map(|d| d + 1)
        } else {
            None
        };
        let Some(d) = [whole, part].into_iter().flatten().min() else {
            continue;
        };
        if best.is_none_or(|(least, _)| d < least) {
            best = Some((d, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Number of wrong letters, where that is a plausible slip.
fn distance(a: &str, b: &str) -> Option<usize> {
    let length = a.chars().count().max(b.chars().count());
    let d = strsim::damerau_levenshtein(a, b);
    (d <= length / 3 || (d <= 1 && length >= 2)).then_some(d)
}
