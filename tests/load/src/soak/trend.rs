//! Whether something grows: the straight line that fits a series best.

/// How much the line of least squares through these points rises while x rises by 1; 0 where there are no two x.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut square, mut product) = (0.0, 0.0);
    for (x, y) in points {
        square += (x - mean_x) * (x - mean_x);
        product += (x - mean_x) * (y - mean_y);
    }
    if square > 0.0 { product / square } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_own_slope_whatever_swings_about_it() {
        let line: Vec<(f64, f64)> = (0..400)
            .map(|n| (f64::from(n), 7.0 + 0.5 * f64::from(n) + if n % 2 == 0 { 3.0 } else { -3.0 }))
            .collect();
        assert!((slope(&line) - 0.5).abs() < 0.001, "{}", slope(&line));
    }

    #[test]
    fn nothing_and_a_single_point_rise_by_nothing() {
        assert_eq!((slope(&[]), slope(&[(3.0, 4.0)])), (0.0, 0.0));
    }
}
