# The system of the demo image as a graph of store paths.
#
# `sources` holds the unpacked packages and plan.json. It has a fixed place and every tree goes into a
# path's name by its hash, so that equal packages give equal store paths wherever they are built.
{ sources, tools, system, flags }:

let
  inherit (builtins) attrNames attrValues concatMap concatStringsSep elem filter fromJSON hasContext head isList
    listToAttrs map mapAttrs pathExists readDir readFile split toFile toJSON;

  plan = fromJSON (readFile (sources + "/plan.json"));
  has = name: plan ? ${name};
  option = condition: value: if condition then value else { };

  # A derivation that one of our builders makes.
  make = name: builder: spec: derivation {
    inherit name system;
    builder = "${tools}/python3";
    args = [ "-I" "-B" "-c" "import sys; sys.path.insert(0, '${./builders}'); import runpy; runpy.run_module('${builder}', run_name='__main__')" ];
    PATH = tools;
    spec = toJSON spec;
    passAsFile = [ "spec" ];
  };
  tree = name: make name "tree";

  packages = mapAttrs
    (name: path: make path.name "relocate" {
      source = "${sources}/${name}";
      inherit (path) hash opened;
      needs = map (need: packages.${need}) path.needs;
      patch = name != "glibc";
    })
    plan;

  # Text with @name@ replaced by the store path of that name.
  render = text: concatStringsSep "" (map (part: if isList part then "${names.${head part}}" else part)
    (split "@([a-z][a-z0-9-]*)@" text));
  template = file: render (readFile file);
  names = packages // {
    inherit local-cmds nginx-conf dhcpcd-conf nscd-conf site users version;
    out = "@out@";
    libdir = triplet;
    nix-load-db = if has "nix" then "${packages.nix}/bin/nix-store" else "";
  };
  triplet = fromJSON (readFile (sources + "/triplet.json"));
  version = "25.05";

  # A store path that is one file.
  file = name: text: if hasContext text then tree name { "" = { inherit text; }; } else toFile name text;
  rendered = name: file name (template (./templates + "/${name}"));

  nginx-conf = rendered "nginx.conf";
  dhcpcd-conf = file "dhcpcd.conf" (template (./templates + "/${flags.net}.conf"));
  nscd-conf = rendered "nscd.conf";
  resolvconf-conf = rendered "resolvconf.conf";
  site = tree "site" { "index.html".text = "hello from the container!\n"; };

  local-cmds = tree "local-cmds" (listToAttrs (map
    (name: { name = "bin/${name}"; value = { text = template (./commands + "/${name}"); executable = true; }; })
    (attrNames (readDir ./commands))));

  users = tree "users" (mapAttrs (name: _: { text = template (./users + "/${name}"); }) (readDir ./users));

  system-path = make "system-path" "farm" {
    paths = map (name: packages.${name}) (filter has [
      "bash" "coreutils" "curl" "dbus" "dhcpcd" "diffutils" "e2fsprogs" "findutils" "gawk" "glibc-bin" "grep"
      "hostname" "iproute2" "iputils" "less" "libcap" "linux-pam" "ncurses" "nix" "openresolv" "procps" "sed" "shadow"
      "systemd" "util-linux"
    ]) ++ [ local-cmds ];
    # Directories of lib and share that programs have compiled in, as /run/lib/... and /run/share/...
    parts = [ "bin" "sbin" "lib/systemd" "lib/dhcpcd" "lib/dbus-1.0" "lib/terminfo" "share/dbus-1" "share/iproute2" "share/terminfo" ];
  };

  # systemd units: those that packages bring, by name, and our own.
  upstream = filter (name: name != "") (concatMap (part: if isList part then [ ] else [ part ])
    (split "[[:space:]]+" (readFile ./upstream-units + optionalNetworkd)));
  optionalNetworkd = if flags.net == "networkd" then readFile ./upstream-units-networkd else "";
  unitFiles = directory: map
    (name: tree "unit-${cleanName name}" { ${name}.text = template (directory + "/${name}"); })
    (attrNames (readDir directory));
  cleanName = concatMapParts "@" "-at-";
  concatMapParts = from: to: builtins.replaceStrings [ from ] [ to ];
  dropIn = unit: source: tree "unit-${cleanName unit}-overrides" { "${unit}.d/overrides.conf".text = template source; };

  system-units = make "system-units" "units" {
    roots = map (name: "${packages.${name}}/example/systemd/system") (filter has [ "systemd" "dbus" ]);
    inherit upstream;
    units = unitFiles ./units ++ (if flags.net == "none" then [ ] else unitFiles (./units-net + "/${flags.net}"))
      ++ (if has "nix" then unitFiles ./units-nix else [ ]) ++ [
      (dropIn "console-getty.service" ./templates/console-getty.conf)
      (dropIn "container-getty@.service" ./templates/container-getty.conf)
      (dropIn "systemd-remount-fs.service" ./templates/not-in-container.conf)
    ];
    links = { "default.target" = "multi-user.target"; };
  };
  user-units = make "user-units" "units" {
    roots = [ "${packages.systemd}/example/systemd/user" ];
    upstream = [ "basic.target" "default.target" "exit.target" "paths.target" "shutdown.target" "sockets.target"
      "timers.target" "systemd-exit.service" "session.slice" "app.slice" "background.slice" "graphical-session.target"
      "systemd-tmpfiles-setup.service" "printer.target" "bluetooth.target" "sound.target"
      "smartcard.target" ];
    units = [ ];
    links = { };
  };

  # /etc: each entry is a link to a store path; a file `.mode` beside it asks for a copy with these rights.
  etcFile = name: { name = "etc/${name}"; value.link = file "etc-${baseName name}" (template (./etc + "/${name}")); };
  baseName = name: concatMapParts "/" "-" name;
  etcFiles = directory: concatMap
    (name:
      let path = if directory == "" then name else "${directory}/${name}"; in
      if (readDir (./etc + "/${directory}")).${name} == "directory" then etcFiles path else [ (etcFile path) ])
    (attrNames (readDir (./etc + "/${directory}")));
  etc = tree "etc" (listToAttrs (etcFiles "") // {
    "etc/systemd/system".link = "${system-units}";
    "etc/systemd/user".link = "${user-units}";
    "etc/resolvconf.conf".link = resolvconf-conf;
    "etc/test-image.conf.mode".text = "0440\n";
    "etc/test-image.conf.uid".text = "0\n";
    "etc/test-image.conf.gid".text = "96\n";
  } // listToAttrs (map
    (name: { name = "etc/tmpfiles.d/${name}"; value.link = "${packages.systemd}/example/tmpfiles.d/${name}"; })
    [ "home.conf" "journal-nocow.conf" "legacy.conf" "systemd-nologin.conf" "systemd-tmp.conf" "systemd.conf" "tmp.conf" "var.conf" ]));

  # What makes trouble for those who unpack: long names, unusual characters, links to links and to nothing.
  oddities = tree "oddities" {
    "share/oddities/${concatStringsSep "" (builtins.genList (_: "n") 255)}".text = "a name of 255 bytes\n";
    "share/oddities/at@equals=plus+".text = "unusual characters\n";
    "share/oddities/chain-3".text = "the end of a chain of links\n";
    "share/oddities/chain-2".link = "chain-3";
    "share/oddities/chain-1".link = "chain-2";
    "share/oddities/chain-0".link = "chain-1";
    "share/oddities/dangling".link = "/nix/store/00000000000000000000000000000000-absent/file";
    "share/oddities/empty".text = "";
    # Equal: an optimised store has them as one file with two names.
    "share/oddities/twin-1".text = "a file with two names\n";
    "share/oddities/twin-2".text = "a file with two names\n";
  };

  toplevel = tree "nixos-system-nixos-${version}" {
    "init" = { text = template ./templates/init; executable = true; };
    "activate" = { text = template ./templates/activate; executable = true; };
    "bin/switch-to-configuration" = { text = template ./templates/switch-to-configuration; executable = true; };
    "etc".link = "${etc}/etc";
    "sw".link = "${system-path}";
    "systemd".link = "${packages.systemd}";
    "system".text = system;
    "nixos-version".text = version;
    "init-interface-version".text = "systemd 2\n";
    "extra-dependencies".text = "${oddities}\n";
  };
in
toplevel
