//! Tables of the scaling curves.

use comfy_table::Cell;

use super::cells::ns;
use super::{heading_cell, name_cell, number, table};
use crate::bench::scale::{Axis, Curve};

/// One table per axis.
pub(crate) fn scale(curves: &[Curve]) -> String {
    let mut text =
        String::from("\nScaling: ns per operation of the 64-byte pair, and of a batch of 1,000 (LIFO)\n");
    for axis in Axis::ALL {
        let mut table = table();
        let points = axis.points().iter();
        table.set_header(
            std::iter::once(Cell::new(""))
                .chain(points.map(|&count| heading_cell(&thousands(count))))
                .collect::<Vec<_>>(),
        );
        for curve in curves.iter().filter(|curve| curve.axis == axis) {
            let cells = curve
                .points
                .iter()
                .map(|point| number(format!("{} {:>6}", ns(point.pair.median), ns(point.batch.median))));
            let name = name_cell(curve.profile.name, curve.profile.role);
            table.add_row(std::iter::once(name).chain(cells));
        }
        if !table.is_empty() {
            text += &format!("\n{}\n{table}\n", axis.title());
        }
    }
    text
}

/// A count with its thousands apart.
fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn groups_of_three() {
        assert_eq!(thousands(1), "1");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(10_000_000), "10,000,000");
    }
}
