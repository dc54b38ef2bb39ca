# Debian's packages as store paths, by the names of the table `packages`.
{ store, sources, suite }:

let
  inherit (builtins) fromJSON map mapAttrs readFile;
  plan = fromJSON (readFile (sources + "/plan.json"));
  paths = mapAttrs
    (name: path: store.make path.name "relocate" {
      source = "${sources}/${name}";
      inherit (path) hash opened;
      needs = map (need: paths.${need}) path.needs;
      # The C library and its loader find each other as they are, and break when patched.
      patch = name != "glibc";
      split = suite == "bookworm" && name == "systemd";
    })
    plan;
in
paths
