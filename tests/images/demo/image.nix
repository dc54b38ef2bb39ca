# The system of the demo image as a graph of store paths: its toplevel.
#
# `sources` holds the unpacked packages and what plan.py found out about them; `tools` holds links to
# python3 and patchelf. Both have fixed places, and every tree goes into a path's name by its hash, so that
# equal packages give equal store paths wherever they are built. `flags` are those of the flags file.
{ sources, tools, system, flags }:

let
  store = import ./store.nix { inherit tools system; };
  packages = import ./packages.nix { inherit store sources; inherit (flags) suite; };
  generation = name: specialisations: import ./system.nix {
    inherit store packages sources flags specialisations;
    generation = name;
  };
in
if flags.generation != "1" then generation flags.generation { }
else generation "1" {
  generation-2 = generation "2" { };
  generation-broken = generation "broken" { };
}
