//! Rows of numbers added up at places that come in any order, and again and again.

use super::vectorized;

/// `count` rows of `width` numbers each: row i is the sum of those of `rows` whose id is i, in their
/// order, so that the bits are the same each time. A row whose id is not below `count` is left out.
pub(crate) fn add_rows(rows: &[f32], ids: &[u32], count: usize, width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; count * width];
    vectorized(
        #[inline(always)]
        || {
            for (row, id) in rows.chunks_exact(width.max(1)).zip(ids) {
                let first = *id as usize * width;
                let Some(sums) = sums.get_mut(first..first + width) else {
                    continue;
                };
                for (sum, number) in sums.iter_mut().zip(row) {
                    *sum += *number;
                }
            }
        },
    );
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_id_are_added_up() {
        let rows = [1.0, 2.0, 10.0, 20.0, 100.0, 200.0, 5.0, 5.0];
        let sums = add_rows(&rows, &[2, 0, 2, 7], 3, 2);
        assert_eq!(sums, [10.0, 20.0, 0.0, 0.0, 101.0, 202.0]);
    }
}
