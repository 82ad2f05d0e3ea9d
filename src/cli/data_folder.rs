//! Where data goes when nobody says where: a user's by the XDG base directory specification, a container's where its image has the volume. Creates nothing.

use crate::config::{Image, Origin, Settings};
use std::path::{Path, PathBuf};

/// The volume of the image, and of apache/kafka and cp-kafka.
const VOLUME: &str = "/var/lib/kafka/data";

/// Sets `log.dirs` for a container that takes the place of `image`.
pub(super) fn set_for(image: Image, settings: &mut Settings) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let folder = of_image(image, &mount_points(&mounts), &host_name);
    settings.set("log.dirs", folder.to_string_lossy(), Origin::Image(image));
}

/// Where a container's data goes that takes the place of `image`. `mounts` are the mount points of the container.
///
/// apache/kafka keeps data below `/tmp`, in a folder that depends on whether there is a variable; it is looked for in both, and in the volume otherwise,
/// because what is not in a volume ends with the container.
fn of_image(image: Image, mounts: &[PathBuf], host_name: &str) -> PathBuf {
    match image {
        Image::Apache => {
            let below_tmp = ["/tmp/kraft-combined-logs", "/tmp/kafka-logs"].map(PathBuf::from);
            below_tmp.into_iter().find(|folder| mounts.contains(folder)).unwrap_or_else(|| VOLUME.into())
        }
        Image::Confluent => VOLUME.into(),
        Image::Bitnami => "/bitnami/kafka/data".into(),
        Image::Wurstmeister => Path::new("/kafka").join(format!("kafka-logs-{host_name}")),
    }
}

/// The mount points in the text of `/proc/self/mountinfo`.
fn mount_points(text: &str) -> Vec<PathBuf> {
    let of_line = |line: &str| line.split(' ').nth(4).map(|path| PathBuf::from(path.replace("\\040", " ")));
    text.lines().filter_map(of_line).collect()
}

/// `$XDG_DATA_HOME/ottla`, or `~/.local/share/ottla`; `None` when the environment has neither. A relative path counts as not set.
pub(super) fn of(environment: &[(String, String)]) -> Option<PathBuf> {
    let absolute = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| Path::new(value))?;
        found.is_absolute().then(|| found.to_path_buf())
    };
    let base = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("ottla"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(pairs: &[(&str, &str)]) -> Option<PathBuf> {
        let environment: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        of(&environment)
    }

    #[test]
    fn a_containers_data_goes_to_a_volume() {
        let mounts = mount_points(
            "1 2 0:1 / / rw - overlay overlay rw\n3 1 8:1 /v/_data /tmp/kafka-logs rw,relatime - ext4 /dev/sda1 rw\n",
        );
        assert_eq!(mounts, [PathBuf::from("/"), PathBuf::from("/tmp/kafka-logs")]);
        assert_eq!(of_image(Image::Apache, &mounts, "h"), PathBuf::from("/tmp/kafka-logs"));
        assert_eq!(of_image(Image::Apache, &[], "h"), PathBuf::from(VOLUME));
        assert_eq!(of_image(Image::Wurstmeister, &mounts, "h"), PathBuf::from("/kafka/kafka-logs-h"));
    }

    #[test]
    fn follows_the_specification() {
        assert_eq!(folder(&[("HOME", "/home/ann")]), Some("/home/ann/.local/share/ottla".into()));
        assert_eq!(folder(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")]), Some("/data/ottla".into()));
        assert_eq!(
            folder(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "data")]),
            Some("/home/ann/.local/share/ottla".into())
        );
        assert_eq!(folder(&[("HOME", "")]), None);
    }
}
