use super::load::came_in_time;
use super::payload::{Numbered, Template, walk};
use super::report::{Flow, Latencies, Report};
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::{BatchView, Batches};
use crate::protocol::records::RecordReader;

fn numbered(sequence: i32) -> Option<Numbered> {
    Some(Numbered { producer_id: 7, producer_epoch: 2, sequence })
}

/// A tenth of the measured time, and a second of a short one.
#[test]
fn a_load_that_comes_late_to_measure_is_refused() {
    for (late_us, seconds, passes) in
        [(1_000_000, 5.0, true), (1_000_001, 5.0, false), (2_000_000, 20.0, true), (2_000_001, 20.0, false)]
    {
        assert_eq!(came_in_time(late_us, seconds).is_ok(), passes, "{late_us} us late of {seconds} s");
    }
}

#[test]
fn batches_carry_when_each_record_was_due() {
    for (compression, has_keys) in [(Compression::None, false), (Compression::None, true), (Compression::Lz4, true)] {
        let template = Template::new(100, 4096, has_keys, compression).unwrap();
        assert!((30..=40).contains(&template.most_records()), "{}", template.most_records());
        for count in [1, 7, template.most_records()] {
            let dues: Vec<u64> = (0..count as u64).map(|record| 1000 + record).collect();
            let batch = template.batch(&dues, 123_456, numbered(5)).unwrap();
            let view = BatchView::parse(&batch).unwrap();
            view.check_crc().unwrap();
            let header = &view.header;
            assert_eq!(view.bytes.len(), batch.len());
            assert_eq!((header.record_count, header.last_offset_delta), (count as i32, count as i32 - 1));
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 2, 5));
            let mut shown = Vec::new();
            walk(&view, |due| shown.push(due)).unwrap();
            assert_eq!(shown, dues);
            let mut records = RecordReader::new(&view, usize::MAX).unwrap();
            while let Some(record) = records.next() {
                let record = record.unwrap();
                assert_eq!((record.value.unwrap().len(), record.key.is_some()), (100, has_keys));
                assert_eq!(record.timestamp_ms, 123_456);
            }
        }
    }
}

#[test]
fn a_batch_holds_one_record_at_least() {
    let template = Template::new(5000, 100, false, Compression::None).unwrap();
    assert_eq!(template.most_records(), 1);
    let batch = template.batch(&[9], 1, None).unwrap();
    assert_eq!(Batches::new(&batch).count(), 1);
    assert!(template.batch(&[], 1, None).is_err());
    let error = Template::new(7, 100, false, Compression::None).err().unwrap();
    assert!(error.to_string().contains("--record-bytes 7 is too small"), "{error}");
}

#[test]
fn latencies_are_told_as_they_were() {
    let mut latencies = Latencies::new().unwrap();
    let mut other = Latencies::new().unwrap();
    latencies.add(100, 98);
    other.add(10_000, 1);
    other.add(50_000, 1);
    latencies.merge(&other);
    let json = serde_json::to_value(&latencies).unwrap();
    let near = |name: &str, us: f64| {
        let told = json[name].as_f64().unwrap();
        assert!((told - us).abs() <= us / 64.0, "{name}: {told}, not {us}");
    };
    near("mean", 698.0);
    near("p50", 100.0);
    near("p95", 100.0);
    near("p99", 10_000.0);
    near("p99.99", 50_000.0);
    near("max", 50_000.0);
}

#[test]
fn a_report_says_what_there_is_and_nothing_else() {
    let report = Report {
        workload: "load",
        seconds: 2.0,
        produced: Some(Flow::new(10, 2_000_000, 2.0, None)),
        ..Report::default()
    };
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["produced"]["bytes_per_second"].as_f64(), Some(1e6));
    assert!(json["consumed"].is_null() && json["broker"].is_null() && json.get("commits").is_none());
    assert_eq!(report.text(), "load for 2.0 s\n  produced      1.0 MB/s, 5 records/s\n");
}
