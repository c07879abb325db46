/**
 * Writes the generated pages of the documentation. Usage: `deno task docs`.
 *
 * @module
 */

import { formatMarkdown } from "./check_docs.ts";
import { generatedPages } from "./generated_pages.ts";

for (const { path, text } of generatedPages()) {
  await Deno.writeTextFile(path, await formatMarkdown(text));
  console.log(path);
}
