//! Amounts of bytes.

/// `12.3M`: units of 1024, cut after the first digit behind the point.
pub fn bytes(amount: u64) -> String {
    const UNITS: [char; 6] = ['E', 'P', 'T', 'G', 'M', 'K'];
    let sized = UNITS
        .into_iter()
        .zip((1..=6).rev().map(|n| 1_u64 << (10 * n)));
    for (unit, size) in sized {
        if amount >= size {
            let tenths = u128::from(amount % size) * 10 / u128::from(size);
            return format!("{}.{tenths}{unit}", amount / size);
        }
    }
    format!("{amount}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_largest_unit_that_fits() {
        let table = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0K"),
            (1536, "1.5K"),
            (12 * 1024 * 1024 + 350_000, "12.3M"),
            (1 << 30, "1.0G"),
            (u64::MAX, "15.9E"),
        ];
        for (amount, wanted) in table {
            assert_eq!(bytes(amount), wanted);
        }
    }
}
