# One generation of the system.
{ store, packages, sources, flags, generation, specialisations }:

let
  inherit (builtins) attrNames concatMap concatStringsSep elem filter fromJSON genList isList map mapAttrs readDir
    readFile replaceStrings split;
  inherit (store) file forEach make tree unit when;

  version = "25.05";
  has = name: packages ? ${name};
  broken = flags.broken;

  names = packages // {
    inherit local-cmds nginx-conf dhcpcd-conf nscd-conf site users version;
    libdir = fromJSON (readFile (sources + "/triplet.json"));
    out = "@out@"; # left to the builder
    container = flags.container;
    broken = broken;
    resolvconf = if flags.resolv == "resolvconf" then "${packages.openresolv}/bin" else "";
    nix-bin = if has "nix" then "${packages.nix}/bin" else "";
    set-profile = if flags.flavour == "lxc" then "1" else "";
    split-usr = if flags.suite == "bookworm" then "1" else "";
  };
  template = path: store.render names (readFile path);
  rendered = name: file name (template (./templates + "/${name}"));
  filesOf = directory: attrNames (readDir directory);

  nginx-conf = rendered "nginx.conf";
  nscd-conf = rendered "nscd.conf";
  dhcpcd-conf = rendered "${flags.net}.conf";
  site = tree "site" {
    "index.html".text = if generation == "1" then "hello from the container!\n" else "generation 2\n";
  };

  local-cmds = tree "local-cmds" (forEach (filesOf ./commands)
    (name: { name = "bin/${name}"; value = { text = template (./commands + "/${name}"); executable = true; }; }));

  users = tree "users" (mapAttrs (name: _: { text = template (./users + "/${name}"); }) (readDir ./users));

  system-path = make "system-path" "farm" {
    paths = map (name: packages.${name}) (filter has [
      "bash" "coreutils" "curl" "dbus" "dhcpcd" "diffutils" "e2fsprogs" "findutils" "gawk" "glibc-bin" "grep"
      "hostname" "iproute2" "iputils" "less" "libcap" "linux-pam" "ncurses" "nix" "openresolv" "procps" "sed"
      "shadow" "systemd" "systemd-resolved" "util-linux"
    ]) ++ [ local-cmds ];
    # Programs have directories of lib and share compiled in, as /run/lib/... and /run/share/...
    parts = [
      "bin" "sbin" "lib/systemd" "lib/dhcpcd" "lib/dbus-1.0" "lib/terminfo" "share/dbus-1" "share/iproute2"
      "share/terminfo"
    ];
  };

  words = text: filter (word: !isList word && word != "") (split "[[:space:]]+" text);
  absentGettys = {
    both = [ ];
    console-only = [ "container-getty@.service" ];
    none = [ "container-getty@.service" "console-getty.service" ];
  }.${flags.getty};
  upstream = filter (name: !elem name absentGettys) (words (readFile ./upstream-units
    + (if flags.net == "networkd" then readFile ./upstream-units-networkd else "")
    + (if flags.resolv == "resolved" then readFile ./upstream-units-resolved else "")));
  removed = when (generation != "1") [ "delegate.service" ];

  unitsIn = directory: map (name: unit name (template (directory + "/${name}")))
    (filter (name: !elem name removed) (filesOf directory));
  override = name: source: when (!elem name absentGettys) [ (unit "${name}.d/overrides.conf" (template source)) ];

  system-units = make "system-units" "units" {
    roots = map (name: "${packages.${name}}/example/systemd/system") (filter has [ "systemd" "systemd-resolved" "dbus" ]);
    inherit upstream;
    enabled = when (flags.net == "networkd") [ "systemd-networkd.service" "systemd-networkd-wait-online.service" ]
      ++ when (flags.resolv == "resolved") [ "systemd-resolved.service" ];
    units = unitsIn ./units
      ++ concatMap unitsIn (when (elem flags.net (filesOf ./units-net)) [ (./units-net + "/${flags.net}") ]
      ++ when (has "nix") [ ./units-nix ]
      ++ when (generation != "1") [ ./units-generation/2 ]
      ++ when (generation == "broken") [ ./units-generation/broken ]
      ++ when (elem broken (filesOf ./units-broken)) [ (./units-broken + "/${broken}") ])
      ++ override "console-getty.service" ./templates/console-getty.conf
      ++ override "container-getty@.service" ./templates/container-getty.conf
      ++ override "systemd-logind.service" ./templates/unconditional.conf
      ++ override "systemd-remount-fs.service" ./templates/not-in-container.conf;
    links = { "default.target" = "multi-user.target"; };
  };
  user-units = make "user-units" "units" {
    roots = [ "${packages.systemd}/example/systemd/user" ];
    upstream = words (readFile ./upstream-units-user);
    enabled = [ ];
    units = [ ];
    links = { };
  };

  # /etc: links to store paths. A file NAME.mode beside NAME asks for a copy with these rights.
  filesBelow = directory: concatMap
    (name:
      let path = if directory == "" then name else "${directory}/${name}"; in
      if (readDir (./etc + "/${directory}")).${name} == "directory" then filesBelow path else [ path ])
    (filesOf (./etc + "/${directory}"));
  etcName = path: "etc-${replaceStrings [ "/" ] [ "-" ] path}";
  etc = tree "etc" (forEach (filesBelow "")
    (path: { name = "etc/${path}"; value.link = file (etcName path) (template (./etc + "/${path}")); })
  // forEach (words (readFile ./upstream-tmpfiles))
    (name: { name = "etc/tmpfiles.d/${name}"; value.link = "${packages.systemd}/example/tmpfiles.d/${name}"; })
  // forEach (when (flags.resolv == "static") [ "resolv.conf" ])
    (name: { name = "etc/${name}"; value.link = rendered "resolv.conf"; })
  // forEach (when (flags.resolv == "resolvconf") [ "resolvconf.conf" ])
    (name: { name = "etc/${name}"; value.link = rendered name; })
  // {
    "etc/systemd/system".link = "${system-units}";
    "etc/systemd/user".link = "${user-units}";
    "etc/test-image.conf.mode".text = "0440\n";
    "etc/test-image.conf.uid".text = "0\n";
    "etc/test-image.conf.gid".text = "96\n";
  });

  # What makes trouble for those who unpack: long names, unusual characters, links to links and to nothing.
  oddities = tree "oddities" {
    "share/oddities/${concatStringsSep "" (genList (_: "n") 255)}".text = "a name of 255 bytes\n";
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

  script = path: { text = template path; executable = true; };
  deaf = script ./templates/init-deaf;
  stage2 = script ./templates/init // { executable = broken != "not-executable"; };
  inits = {
    initrd = {
      prepare-root = stage2;
      init.copy = "${packages.systemd}/lib/systemd/systemd";
    };
    bootless = { };
  }.${flags.flavour} or { init = if broken == "deaf" then deaf else stage2; };
in
tree "nixos-system-nixos-${version}" (inits // {
  "activate" = script ./templates/activate;
  "bin/switch-to-configuration" = script ./templates/switch-to-configuration;
  "etc".link = "${etc}/etc";
  "sw".link = "${system-path}";
  "systemd".link = "${packages.systemd}";
  "system".text = store.system;
  "nixos-version".text = version;
  "init-interface-version".text = "systemd 2\n";
  "extra-dependencies".text = "${oddities}\n";
} // forEach (attrNames specialisations)
  (name: { name = "specialisation/${name}"; value.link = "${specialisations.${name}}"; }))
