//! Curves and bars drawn with characters.

/// Columns and rows of a chart, without its labels.
const WIDTH: usize = 61;
const HEIGHT: usize = 13;

/// One curve or cloud of points: its character, its name in the legend, and its points.
pub type Series<'a> = (char, &'a str, Vec<(f64, f64)>);

/// Draws all series in one frame that fits them; where two meet, the later one is seen.
pub fn chart(series: &[Series]) -> String {
    let points = || series.iter().flat_map(|(_, _, points)| points);
    let (left, right) = range(points().map(|point| point.0));
    let (low, high) = range(points().map(|point| point.1));
    let column = |x: f64| ((x - left) / (right - left) * (WIDTH - 1) as f64).round() as usize;
    let row = |y: f64| ((high - y) / (high - low) * (HEIGHT - 1) as f64).round() as usize;

    let mut canvas = [[' '; WIDTH]; HEIGHT];
    if low < 0.0 && high > 0.0 {
        canvas[row(0.0)] = ['·'; WIDTH];
    }
    if left < 0.0 && right > 0.0 {
        canvas.iter_mut().for_each(|line| line[column(0.0)] = '·');
    }
    for (character, _, points) in series {
        for (x, y) in points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
        {
            canvas[row(*y)][column(*x)] = *character;
        }
    }

    let mut text = String::new();
    for (index, line) in canvas.iter().enumerate() {
        let label = match index {
            0 => format!("{high:.2}"),
            _ if index == HEIGHT - 1 => format!("{low:.2}"),
            _ => String::new(),
        };
        let line: String = line.iter().collect();
        text += &format!("{label:>8} │{}\n", line.trim_end());
    }
    text += &format!("{:>8} └{}\n", "", "─".repeat(WIDTH));
    text += &format!("{:>8}  {left:<12}{right:>49}\n", "");
    let named = series.iter().filter(|(_, name, _)| !name.is_empty());
    let legend: Vec<String> = named.map(|(c, name, _)| format!("{c} {name}")).collect();
    if !legend.is_empty() {
        text += &format!("{:>8}  {}\n", "", legend.join("   "));
    }
    text
}

/// The x of every column of a chart from `left` to `right`.
pub fn columns(left: f64, right: f64) -> Vec<f64> {
    let step = (right - left) / (WIDTH - 1) as f64;
    (0..WIDTH)
        .map(|column| left + step * column as f64)
        .collect()
}

/// The values of `function` at every column of a chart from `left` to `right`.
pub fn curve(left: f64, right: f64, function: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let columns = columns(left, right).into_iter();
    columns.map(|x| (x, function(x))).collect()
}

/// A bar of `share`, from 0 to 1, of 40 characters.
pub fn bar(share: f64) -> String {
    "█".repeat((40.0 * share.clamp(0.0, 1.0)).round() as usize)
}

/// The least and the greatest finite value, at least a little apart.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    match low.total_cmp(&high) {
        std::cmp::Ordering::Less => (low, high),
        std::cmp::Ordering::Equal => (low - 0.5, high + 0.5),
        std::cmp::Ordering::Greater => (0.0, 1.0), // no point at all
    }
}
