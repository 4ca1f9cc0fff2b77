// Which earlier file makes what a file needs, in the words of another tool?
//
//     node edges.mjs WAY
//
// reads {"files": [{"name", "text"}, …]} and writes {"edges": [{"file", "needs", "strength"}, …],
// "unread": {name: message}, "skipped": {what: count}}.
//
// Each WAY is a use of the tool's public functions as its documentation shows them. `unread` are files that the tool
// could not read at all, `skipped` counts statements and names that it says itself it can't place.

import { readFileSync } from "node:fs";

const ways = {
  // All files at once, as pg-topo is meant to be used.
  "pg-topo": async (files) => topology(files, [files.length]),

  // Each file with those before it, one call a file: an object that later files make anew is no ambiguity then.
  "pg-topo-stepwise": async (files) =>
    topology(
      files,
      files.map((_, index) => index + 1),
    ),

  // Names without a schema are left out of its facts, by its documentation.
  "transform": async (files) => graphOfFacts(files, (text) => text),

  // Its own pass gives each name a schema first, by an inventory of all files.
  "transform-qualified": async (files) => graphOfFacts(files, await qualifier(files)),

  // The same facts, without its graph.
  "transform-facts": async (files) => bindFacts(files, await qualifier(files)),
};

async function topology(files, ends) {
  const { analyzeAndSort } = await import("@supabase/pg-topo");
  const edges = [];
  const unread = {};
  const skipped = {};
  for (const end of ends) {
    const answer = await analyzeAndSort(files.slice(0, end).map(({ text }) => text));
    const first = ends.length > 1 ? end - 1 : 0;
    const place = (id) => Number(id.filePath.match(/^<input:(\d+)>$/)[1]);
    for (const { from, to } of answer.graph.edges) {
      if (place(to) >= first) {
        edges.push({ file: files[place(to)].name, needs: files[place(from)].name, strength: "hard" });
      }
    }
    for (const { code, message, statementId } of answer.diagnostics) {
      if (!statementId || place(statementId) < first) continue;
      if (code === "PARSE_ERROR") unread[files[place(statementId)].name] = message;
      else skipped[code] = (skipped[code] ?? 0) + 1;
    }
  }
  return { edges, unread, skipped };
}

async function graphOfFacts(files, prepared) {
  const { buildStatementGraph } = await transform();
  const { facts, owners, unread, skipped } = await classified(files, prepared);
  const edges = buildStatementGraph(facts).edges.map(({ from, to, kind }) => ({
    file: owners[from],
    needs: owners[to],
    strength: kind === "late" ? "late" : "hard",
  }));
  return { edges, unread, skipped };
}

// A name is bound to the nearest statement before that makes it. The package counts ALTER TABLE and INSERT among
// those that create their table; here they are among those that refer to it.
async function bindFacts(files, prepared) {
  const { facts, owners, unread, skipped } = await classified(files, prepared);
  const key = ({ schema, name }) => JSON.stringify([schema ?? "", name]);
  const makers = new Map();
  const edges = [];
  facts.forEach((fact, index) => {
    const makes = /^(Create|View|Index|Define|CompositeType)/.test(fact.nodeTag);
    const late = new Set(fact.bodyReferences.map(key));
    for (const each of makes ? fact.references : [...fact.references, ...fact.creates]) {
      const maker = makers.get(key(each));
      if (maker !== undefined) {
        edges.push({ file: owners[index], needs: owners[maker], strength: late.has(key(each)) ? "late" : "hard" });
      }
    }
    if (makes) fact.creates.forEach((each) => makers.set(key(each), index));
  });
  return { edges, unread, skipped };
}

async function classified(files, prepared) {
  const { classifyStatements } = await transform();
  const facts = [];
  const owners = [];
  const unread = {};
  for (const { name, text } of files) {
    const { value, error } = attempt(() => classifyStatements(prepared(text)));
    if (error) unread[name] = error;
    for (const fact of value ?? []) {
      facts.push(fact);
      owners.push(name);
    }
  }
  return { facts, owners, unread, skipped: { "kind other": facts.filter(({ kind }) => kind === "other").length } };
}

async function qualifier(files) {
  const { collectCreatedObjects, mergeInventories, qualifyUnqualified } = await transform();
  const found = files.map(({ text }) => attempt(() => collectCreatedObjects(text)).value);
  const inventory = mergeInventories(found.filter(Boolean));
  return (text) => qualifyUnqualified(text, { schema: "public", inventory }).sql;
}

async function transform() {
  const { loadModule } = (await import("plpgsql-parser")).default;
  await loadModule();
  return (await import("@pgsql/transform")).default;
}

function attempt(work) {
  try {
    return { value: work() };
  } catch (error) {
    return { error: error.message || String(error) };
  }
}

const { files } = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(await ways[process.argv[2]](files)));
