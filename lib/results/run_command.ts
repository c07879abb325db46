/**
 * `run_command_{time}.sh`: the command line of a run, quoted, without secrets.
 *
 * @module
 */

/** Headers whose value is kept. Which of all others hold a key, only their server knows. */
const PLAIN_HEADER = /^(?:accept|accept-language|content-type|user-agent|x-request-id)$/i;
/** Options whose value is a secret, should somebody pass one there. */
const SECRET_OPTION = /^--(?:api-key|hf-token|password)$/;
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** A word for a POSIX shell: as it is, or in single quotes. */
export function shellQuote(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * A script that runs a command line again. Values of headers, user names and passwords in URLs, and
 * secret query parameters become environment variables, which the script asks for.
 *
 * @param argv The whole command line, the program first.
 * @param generatedAt For the comment on top.
 */
export function runCommandScript(argv: readonly string[], generatedAt: string): string {
  const words: string[] = [];
  let option: string | undefined;
  for (const [i, word] of argv.entries()) {
    const quoted = quoteWithoutSecret(word, option);
    // An option may have several values: --header 'A: 1' 'B: 2'.
    if (word.startsWith("--")) option = word;
    const startsOption = i > 0 && word.startsWith("-");
    words.push(i === 0 ? quoted : startsOption ? ` \\\n  ${quoted}` : ` ${quoted}`);
  }
  return [
    "#!/bin/sh",
    `# Written by kvmark at ${generatedAt}. Runs the same command again:`,
    "#   sh run_command_….sh                  goes on with an unfinished run",
    "#   sh run_command_….sh --force-restart  starts over",
    "set -eu",
    `${words.join("")} "$@"`,
    "",
  ].join("\n");
}

function quoteWithoutSecret(word: string, optionBefore: string | undefined): string {
  if (/^--[\w-]+$/.test(word)) return word;
  const [option, value] = word.startsWith("--") && word.includes("=")
    ? [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]
    : [optionBefore?.replace(/=.*$/s, "") ?? "", word];
  const prefix = value === word ? "" : shellQuote(`${option}=`);
  if (SECRET_OPTION.test(option)) return `${prefix}"${variable("KVMARK_SECRET")}"`;
  const header = /^\s*([^:\s]+)\s*:/.exec(value)?.[1];
  if (option === "--header" && header !== undefined && !PLAIN_HEADER.test(header)) {
    const name = `KVMARK_HEADER_${header.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
    return `${prefix}${shellQuote(`${header}: `)}"${variable(name)}"`;
  }
  return prefix + quoteUrl(value);
}

/** A word of which credentials in a URL and secret query parameters are left out. */
function quoteUrl(word: string): string {
  const pattern =
    /(:\/\/)[^/?#\s]*(?=@)|([?&][^=&#]*(?:auth|key|token|secret|passw|sig)[^=&#]*=)[^&#\s]*/gi;
  let quoted = "";
  let at = 0;
  for (const match of word.matchAll(pattern)) {
    const kept = match[1] ?? match[2] ?? "";
    const name = match[1] === undefined ? "KVMARK_URL_SECRET" : "KVMARK_URL_CREDENTIALS";
    quoted += shellQuote(word.slice(at, match.index) + kept) + `"${variable(name)}"`;
    at = match.index + match[0].length;
  }
  return at === 0
    ? shellQuote(word)
    : quoted + (at < word.length ? shellQuote(word.slice(at)) : "");
}

function variable(name: string): string {
  return "${" + name + ":?is left out of this script: set it}";
}
