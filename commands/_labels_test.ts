import assert from "node:assert/strict";
import { diskFiles } from "../tests/support/disk_files.ts";
import { withTempDir } from "../tests/support/command.ts";
import { labelledFolders, withReplicates } from "./_labels.ts";

Deno.test("labelledFolders() takes labels, LABEL=dirs, and the names of the folders", () => {
  const of = (outputDirs: readonly string[], labels: readonly string[] = []) =>
    labelledFolders({ outputDirs, labels });
  assert.deepEqual(of(["x/1", "x/2", "y"], ["A", "A", "B"]), [
    { label: "A", dir: "x/1" },
    { label: "A", dir: "x/2" },
    { label: "B", dir: "y" },
  ]);
  assert.deepEqual(of(["A=x/1,x/2", "B=y", "z/output"]), [
    { label: "A", dir: "x/1" },
    { label: "A", dir: "x/2" },
    { label: "B", dir: "y" },
    { label: "z", dir: "z/output" },
  ]);
  assert.deepEqual(of(["./a=b/c"]), [{ label: "c", dir: "./a=b/c" }], "a path");
});

Deno.test("withReplicates() puts the runs of a folder of replicates in its place, in order", async () => {
  await withTempDir(async (dir) => {
    for (const name of ["replicate_10", "replicate_2", "replicate_1", "replicate_x"]) {
      await Deno.mkdir(`${dir}/${name}`);
    }
    const folders = await withReplicates(diskFiles, [{ label: "A", dir }, {
      label: "B",
      dir: "b",
    }]);
    assert.deepEqual(folders, [
      { label: "A", dir: `${dir}/replicate_1` },
      { label: "A", dir: `${dir}/replicate_2` },
      { label: "A", dir: `${dir}/replicate_10` },
      { label: "B", dir: "b" },
    ]);
  });
});
