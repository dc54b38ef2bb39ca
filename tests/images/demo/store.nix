# Ways to make store paths. Each is the work of one of the builders.
{ tools, system }:

let
  inherit (builtins) concatStringsSep hasContext head isList listToAttrs map replaceStrings split toFile toJSON;
in
rec {
  inherit system;

  # NAME by builders/BUILDER.py, which is told SPEC as JSON.
  make = name: builder: spec: derivation {
    inherit name system;
    builder = "${tools}/python3";
    args = [ "-I" "-B" "-c" "import runpy, sys; sys.path.insert(0, '${./builders}'); runpy.run_module('${builder}', run_name='__main__')" ];
    PATH = tools;
    spec = toJSON spec;
    passAsFile = [ "spec" ];
  };

  # A directory of small files and links.
  tree = name: make name "tree";

  # A store path that is one file.
  file = name: text: if hasContext text then tree name { "" = { inherit text; }; } else toFile name text;

  # A systemd unit, or a drop-in for one, in a directory of its own.
  unit = path: text: tree "unit-${unitName path}" { ${path} = { inherit text; }; };
  unitName = replaceStrings [ "@" "/" ] [ "-at-" "-" ];

  # TEXT with each @NAME@ replaced by what NAMES has for it.
  render = names: text: concatStringsSep "" (map (part: if isList part then "${names.${head part}}" else part)
    (split "@([a-z][a-z0-9-]*)@" text));

  # An attribute set of F's results for each of NAMES.
  forEach = names: f: listToAttrs (map f names);
  when = condition: list: if condition then list else [ ];
}
