//! Round trips through our reader, and every error of the writer.

use super::super::read::{Attribute, File};
use super::*;

fn bytes(root: Group<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let size = root.write(&mut bytes).expect("a file");
    assert_eq!(size, bytes.len() as u64);
    bytes
}

fn error<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}

const ALL: [Dtype; 12] = [
    Dtype::F16,
    Dtype::Bf16,
    Dtype::F32,
    Dtype::F64,
    Dtype::I8,
    Dtype::I16,
    Dtype::I32,
    Dtype::I64,
    Dtype::U8,
    Dtype::U16,
    Dtype::U32,
    Dtype::U64,
];

/// The bytes of 1 in a type.
fn one(dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F16 => vec![0, 0x3c],
        Dtype::Bf16 => vec![0x80, 0x3f],
        Dtype::F32 => 1f32.to_le_bytes().into(),
        Dtype::F64 => 1f64.to_le_bytes().into(),
        _ => 1u64.to_le_bytes()[..dtype.size() as usize].into(),
    }
}

#[test]
fn every_type_and_rank_comes_back() -> Result<()> {
    let shapes: [&[usize]; 6] = [&[], &[0], &[3], &[2, 3], &[2, 0, 3], &[1; 32]];
    let mut root = Group::root();
    for dtype in ALL {
        for (rank, shape) in shapes.iter().enumerate() {
            let values = one(dtype).repeat(shape.iter().product());
            root.group(&dtype.to_string())?.dataset(
                &rank.to_string(),
                dtype,
                shape,
                move |out| out.write_all(&values),
            )?;
        }
    }
    let file = File::open(bytes(root))?;
    for dtype in ALL {
        for (rank, &shape) in shapes.iter().enumerate() {
            let dataset = file.dataset(&format!("{dtype}/{rank}"))?;
            assert_eq!((dataset.dtype(), dataset.shape()), (dtype, shape));
            let ones = vec![1.0; shape.iter().product()];
            assert_eq!(
                file.read_as::<f64>(&dataset, 32)?,
                ones,
                "{dtype} {shape:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn more_numbers_than_a_piece_come_back() -> Result<()> {
    let values: Vec<f32> = (0..100_000).map(|i| i as f32).collect();
    let data: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let mut root = Group::root();
    root.dataset("x", Dtype::F32, &[100, 1000], |out| out.write_all(&data))?;
    let file = File::open(bytes(root))?;
    assert_eq!(file.read_as::<f32>(&file.dataset("x")?, 100_000)?, values);
    Ok(())
}

#[test]
fn numbers_that_threads_read_by_parts_come_back_and_all_are_tested() -> Result<()> {
    let count = 2_500_000;
    let mut values: Vec<f32> = (0..count).map(|i| i as f32).collect();
    let read = |values: &[f32]| -> Result<(bool, bool)> {
        let mut root = Group::root();
        let bytes_of = |out: &mut dyn Write| {
            let mut pieces = values.iter();
            pieces.try_for_each(|value| out.write_all(&value.to_le_bytes()))
        };
        root.dataset("x", Dtype::F32, &[count], bytes_of)?;
        let file = File::open(bytes(root))?;
        let mut back = vec![0.0; count];
        let finite = file.read_into(&file.dataset("x")?, &mut back, f32::is_finite)?;
        let same = back
            .iter()
            .map(|x| x.to_bits())
            .eq(values.iter().map(|x| x.to_bits()));
        Ok((same, finite))
    };
    assert_eq!(read(&values)?, (true, true));
    for broken in [0, 1 << 20, count - 1] {
        let whole = std::mem::replace(&mut values[broken], f32::NAN);
        assert_eq!(read(&values)?, (true, false));
        values[broken] = whole;
    }
    Ok(())
}

#[test]
fn opaque_data_are_bfloat16_only_with_kerass_mark() -> Result<()> {
    let mut root = Group::root();
    root.dataset("plain", Dtype::Opaque(2), &[1], |out| {
        out.write_all(&[0, 0])
    })?;
    root.dataset("marked", Dtype::Bf16, &[1], |out| {
        out.write_all(&[0xc0, 0xbf])
    })?;
    let file = File::open(bytes(root))?;
    let plain = file.dataset("plain")?;
    assert_eq!(plain.dtype(), Dtype::Opaque(2));
    let what = "expected numbers that fit float32, got opaque data of 2 bytes";
    assert!(error(file.read_as::<f32>(&plain, 1)).ends_with(what));
    assert_eq!(file.read_as::<f32>(&file.dataset("marked")?, 1)?, [-1.5]);
    let mark = (
        "dtype".to_string(),
        Attribute::Strings(vec!["bfloat16".into()]),
    );
    assert_eq!(file.attributes("marked")?, [mark]);
    Ok(())
}

#[test]
fn three_thousand_groups_come_back_with_their_attributes() -> Result<()> {
    let mut root = Group::root();
    for i in 0..3000u64 {
        let vars = root.group(&format!("layers/dense_{i}/vars"))?;
        vars.attribute("name", &format!("dense {i}"))?;
        vars.dataset("0", Dtype::U64, &[], move |out| {
            out.write_all(&i.to_le_bytes())
        })?;
    }
    let file = File::open(bytes(root))?;
    assert_eq!(file.children("layers")?.len(), 3000);
    for i in 0..3000 {
        let vars = format!("layers/dense_{i}/vars");
        let name = file.attribute(&vars, "name")?.expect("a name");
        assert_eq!(name.string(), Some(&*format!("dense {i}")));
        let dataset = file.dataset(&format!("{vars}/0"))?;
        assert_eq!(file.read_as::<i64>(&dataset, 1)?, [i]);
    }
    Ok(())
}

#[test]
fn names_and_values_in_utf_8_come_back_sorted_by_their_bytes() -> Result<()> {
    let mut root = Group::root();
    root.attribute("größe", "naïve ✓")?.attribute("empty", "")?;
    for name in ["é", "z", "层", "a b", "🦀"] {
        root.group(name)?;
    }
    let file = File::open(bytes(root))?;
    assert_eq!(file.children("")?, ["a b", "z", "é", "层", "🦀"]);
    let attributes = file.attributes("/")?;
    let pairs: Vec<_> = attributes
        .iter()
        .map(|(name, value)| (&**name, value.string()))
        .collect();
    assert_eq!(pairs, [("größe", Some("naïve ✓")), ("empty", Some(""))]);
    Ok(())
}

#[test]
fn an_empty_file_comes_back() -> Result<()> {
    let file = File::open(bytes(Group::root()))?;
    assert_eq!(file.children("")?, [""; 0]);
    assert_eq!(file.attributes("/")?, []);
    Ok(())
}

#[test]
fn the_longest_texts_come_back() -> Result<()> {
    let long = "x".repeat(MAX_TEXT);
    let mut root = Group::root();
    root.group(&long)?;
    root.attribute(&long, &long)?;
    let file = File::open(bytes(root))?;
    assert_eq!(file.children("")?, [&*long]);
    let value = file.attribute("", &long)?.expect("a value");
    assert_eq!(value.string(), Some(&*long));
    Ok(())
}

#[test]
fn names_that_hdf5_cannot_hold_are_errors() {
    let mut root = Group::root();
    let nothing = |_: &mut dyn Write| Ok(());
    for (name, got) in [("", "``"), ("a/b", "`a/b`"), ("a\0", "`a\\0`")] {
        let what = format!("`/`: expected a name without `/` and NUL, got {got}");
        assert_eq!(error(root.dataset(name, Dtype::F32, &[0], nothing)), what);
    }
    let what = "`a`: expected a name without `/` and NUL, got ``";
    assert_eq!(error(root.group("a//b")), what);
    let what = "`/`: expected a name, got `.`, which means the group itself";
    assert_eq!(error(root.group(".")), what);
    let what = "`/`: expected a name of at most 64512 bytes, got 64513";
    assert_eq!(error(root.group(&"x".repeat(MAX_TEXT + 1))), what);
}

#[test]
fn attributes_that_hdf5_cannot_hold_are_errors() -> Result<()> {
    let mut root = Group::root();
    let long = "x".repeat(MAX_TEXT + 1);
    for (name, value, what) in [
        (
            "",
            "",
            "expected an attribute with a name and without NUL, got `/`",
        ),
        (
            "a\0",
            "",
            "expected an attribute with a name and without NUL, got `a\\0`",
        ),
        (
            "a",
            "\0",
            "expected an attribute with a name and without NUL, got `a`",
        ),
        (
            &*long,
            "",
            "expected an attribute's name of at most 64512 bytes, got 64513",
        ),
        (
            "a",
            &*long,
            "expected an attribute's value of at most 64512 bytes, got 64513",
        ),
    ] {
        let group = root.group("layers/dense")?;
        assert_eq!(
            error(group.attribute(name, value)),
            format!("`layers/dense`: {what}")
        );
    }
    root.attribute("name", "a")?;
    let what = "`/`: expected a new attribute, got `name` twice";
    assert_eq!(error(root.attribute("name", "b")), what);
    Ok(())
}

#[test]
fn attributes_over_the_readers_limit_are_an_error() -> Result<()> {
    let mut root = Group::root();
    for i in 0..66 {
        root.group("a")?
            .attribute(&format!("{}{i}", "x".repeat(MAX_TEXT - 9)), "")?;
    }
    let what = error(root.write(&mut io::sink()));
    let expected = "`a`: expected attributes with names of at most 4194304 bytes, got ";
    assert!(what.starts_with(expected), "{what}");
    Ok(())
}

#[test]
fn one_name_for_two_objects_is_an_error() -> Result<()> {
    let mut root = Group::root();
    let nothing = |_: &mut dyn Write| Ok(());
    root.group("a")?.dataset("x", Dtype::F32, &[0], nothing)?;
    let twice = root.group("a")?.dataset("x", Dtype::F32, &[0], nothing);
    assert_eq!(error(twice), "`a/x`: expected a new name, got one twice");
    let twice = root.dataset("a", Dtype::F32, &[0], nothing);
    assert_eq!(error(twice), "`a`: expected a new name, got one twice");
    let what = "`a/x`: expected a group, got a dataset";
    assert_eq!(error(root.group("a/x/y")), what);
    Ok(())
}

#[test]
fn shapes_that_are_too_large_are_errors() -> Result<()> {
    let mut root = Group::root();
    let mut add = |dtype, shape: &[usize]| error(root.dataset("x", dtype, shape, |_| Ok(())));
    let what = "`x`: expected at most 32 dimensions, got 33";
    assert_eq!(add(Dtype::F32, &[1; 33]), what);
    let what = "`x`: expected elements of at least 1 byte, got opaque data of 0 bytes";
    assert_eq!(add(Dtype::Opaque(0), &[1]), what);
    for shape in [[usize::MAX, 2], [1 << 31, 1 << 31]] {
        let what = format!("`x`: the shape {shape:?} in float32 has too many bytes");
        assert_eq!(add(Dtype::F32, &shape), what);
    }
    let size = 1 << 62;
    for name in ["a", "b", "c", "d"] {
        root.dataset(name, Dtype::I8, &[size], |_| Ok(()))?;
    }
    let what = "superblock: the file has too many bytes";
    assert_eq!(error(root.write(&mut io::sink())), what);
    Ok(())
}

#[test]
fn another_number_of_bytes_than_the_shape_has_is_an_error() -> Result<()> {
    for (count, what) in [(7, "got 7"), (9, "got more"), (0, "got 0")] {
        let mut root = Group::root();
        let fill = move |out: &mut dyn Write| out.write_all(&vec![0; count]);
        root.group("a")?.dataset("x", Dtype::F32, &[2], fill)?;
        let what = format!("`a/x`: expected 8 bytes, {what}");
        assert_eq!(error(root.write(&mut io::sink())), what);
    }
    Ok(())
}

#[test]
fn an_error_that_the_filler_hides_is_still_one() -> Result<()> {
    let mut root = Group::root();
    root.dataset("x", Dtype::I8, &[1], |out| {
        let _ = out.write_all(&[0; 2]);
        out.write_all(&[0])
    })?;
    assert_eq!(
        error(root.write(&mut io::sink())),
        "`x`: expected 1 bytes, got more"
    );
    Ok(())
}

#[test]
fn errors_of_filler_and_output_are_kept() -> Result<()> {
    let mut root = Group::root();
    root.dataset("x", Dtype::I8, &[1], |_| {
        Err(io::Error::other("no such tensor"))
    })?;
    let error = root.write(&mut io::sink()).expect_err("an error");
    assert_eq!(error.to_string(), "`x`: cannot write: no such tensor");
    assert!(error.io_error().is_some());
    let full: &mut [u8] = &mut [0; 50];
    let error = Group::root().write(&mut { full }).expect_err("an error");
    let kind = error.io_error().map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::WriteZero));
    assert!(
        error
            .to_string()
            .starts_with("superblock and groups: cannot write")
    );
    Ok(())
}
