/** /docs: the OpenAPI document as a page to read. It needs no script, no network and no login. */
import type { JsonSchema, MediaTypes, OpenApiDocument, Operation } from '../../kernel/openapi.ts';

interface Field {
  readonly name: string;
  readonly schema: JsonSchema;
  readonly required: boolean;
}

interface Entry {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export function docsPage(document: OpenApiDocument): string {
  const entries = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Entry => ({ method: method.toUpperCase(), path, operation })),
  );
  const groups = document.tags.map(({ name }) => ({
    name,
    entries: entries.filter(({ operation }) => operation.tags.includes(name)),
  }));
  const fields = new Fields(document.components.schemas);
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>API · Turnpike</title>
    <link rel="icon" href="/console/icon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="/console/console.css" />
  </head>
  <body>
    <header class="top">
      <a class="brand" href="/">Turnpike</a>
      <nav aria-label="Pages"><a href="/">Overview</a><a href="/try">Try a call</a><a href="/docs" aria-current="page">API</a></nav>
    </header>
    <main class="api">
      <header>
        <h1>The API of this service</h1>
        <p class="lead">${prose(document.info.description)}</p>
        <p class="lead">For programs: <a href="/openapi.json">OpenAPI ${escaped(document.openapi)}</a>.</p>
      </header>
      <section class="card wide" aria-labelledby="contents"><h2 id="contents">Calls</h2>${groups.map(contents).join('')}</section>
      <section class="card wide" aria-labelledby="tokens"><h2 id="tokens">Who may call</h2>${tokens(document)}</section>
      ${groups.flatMap((group) => group.entries.map((entry) => section(entry, fields))).join('\n      ')}
      ${fields.sections()}
    </main>
  </body>
</html>
`;
}

function contents({ name, entries }: { readonly name: string; readonly entries: readonly Entry[] }): string {
  const items = entries.map(
    ({ method, path, operation }) =>
      `<li><a href="#${escaped(operation.operationId)}"><code>${escaped(`${method} ${path}`)}</code></a> <small>${prose(operation.summary)}</small></li>`,
  );
  return `<h3>${escaped(name)}</h3><ul>${items.join('')}</ul>`;
}

function tokens({ components }: OpenApiDocument): string {
  const rows = Object.entries(components.securitySchemes).map(
    ([name, { description = '', in: where, name: parameter }]) => {
      const how = where === undefined ? 'Authorization' : where === 'query' ? `?${parameter}=` : String(parameter);
      return `<dt id="${tokenId(name)}"><code>${escaped(name)}</code></dt><dd>${prose(description)} <small>${escaped(how)}</small></dd>`;
    },
  );
  return `<dl class="terms">${rows.join('')}</dl>`;
}

function section({ method, path, operation }: Entry, fields: Fields): string {
  const { operationId: id, parameters = [], requestBody, responses, security, summary } = operation;
  const asked = parameters.map(({ name, required, in: where, description, schema }): Field & { where: string } => ({
    name,
    required,
    where,
    schema: description === undefined ? schema : { ...schema, description },
  }));
  const callers = security.flatMap((scheme) => Object.keys(scheme));
  const who =
    callers.length === 0
      ? 'anyone'
      : callers.map((name) => `<a href="#${tokenId(name)}">${escaped(name)}</a>`).join(', ');
  const all = Object.entries(responses);
  const answers = all.filter(([, { content }]) => !isFault(content));
  const faults = all.filter(([status, { content }]) => status !== 'default' && isFault(content));
  return `<section class="card wide call" id="${escaped(id)}" aria-labelledby="${escaped(id)}-title">
        <h2 id="${escaped(id)}-title"><code>${escaped(`${method} ${path}`)}</code></h2>
        <p>${prose(summary)}</p>
        <p><small>Called by: ${who}</small></p>
        ${['path', 'query'].map((where) => table(`In the ${where}`, fields.rows(asked.filter((field) => field.where === where)))).join('')}
        ${requestBody === undefined ? '' : body(requestBody.required ? 'Request' : 'Request, which may be left out', requestBody.content, fields)}
        ${answers.map(([status, { content = {} }]) => body(`Answer ${status}`, content, fields)).join('')}
        ${faults.length === 0 ? '' : `<details><summary>Errors</summary><dl class="terms">${faults.map(fault).join('')}</dl></details>`}
      </section>`;
}

function isFault(content: MediaTypes = {}): boolean {
  const schema = content['application/json']?.schema;
  return (schema?.allOf?.[0] ?? schema)?.$ref === '#/components/schemas/Error';
}

function fault([status, { description }]: readonly [string, { readonly description: string }]): string {
  const codes = description.split('\n\n').map((line) => `<dd>${prose(line)}</dd>`);
  return `<dt>${escaped(status)}</dt>${codes.join('')}`;
}

/** The same schema in several types is told once. */
function body(title: string, content: MediaTypes, fields: Fields): string {
  const types = Object.keys(content);
  const schema = Object.values(content).find((type) => type.schema?.type !== 'string')?.schema;
  const note =
    types.length === 0 ? 'Without content.' : types.map((type) => `<code>${escaped(type)}</code>`).join(', ');
  return `<h3>${escaped(title)}</h3><p class="note">${note}${schema === undefined || schema.type === 'object' ? '' : ` · ${fields.kind(schema)}`}</p>${table('', fields.of(schema))}`;
}

function table(title: string, rows: string): string {
  if (rows === '') return '';
  const heading = title === '' ? '' : `<h3>${escaped(title)}</h3>`;
  return `${heading}<div class="scroll"><table class="fields"><thead><tr><th class="text" scope="col">Field</th><th class="text" scope="col">Is</th><th class="text" scope="col">Meaning</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** Members of schemas as rows. Schemas with a name have a place of their own, which the others refer to. */
class Fields {
  readonly #named: OpenApiDocument['components']['schemas'];

  constructor(named: OpenApiDocument['components']['schemas']) {
    this.#named = named;
  }

  sections(): string {
    return Object.entries(this.#named)
      .map(
        ([name, schema]) =>
          `<section class="card wide call" id="${schemaId(name)}" aria-labelledby="${schemaId(name)}-title"><h2 id="${schemaId(name)}-title"><code>${escaped(name)}</code></h2>${schema.description === undefined ? '' : `<p>${prose(schema.description)}</p>`}${table('', this.of(schema))}</section>`,
      )
      .join('\n      ');
  }

  /** Members of what the schema is, or is a list of, as far as it has no name. */
  of(schema: JsonSchema | undefined): string {
    return schema === undefined ? '' : this.rows(membersOf(schema, ''));
  }

  rows(fields: readonly Field[]): string {
    return fields
      .flatMap(({ name, required, schema }) => [
        `<tr><td class="text"><code>${escaped(name)}</code>${required ? '' : ' <small>optional</small>'}</td><td class="text">${this.kind(schema)}</td><td class="text">${prose(schema.description ?? schema.items?.description ?? '')}</td></tr>`,
        this.rows(membersOf(schema, name)),
      ])
      .join('');
  }

  /** A schema in a few words. */
  kind(schema: JsonSchema): string {
    if (schema.$ref !== undefined) {
      const name = schema.$ref.replace('#/components/schemas/', '');
      return `<a href="#${schemaId(name)}">${escaped(name)}</a>`;
    }
    if (schema.anyOf !== undefined) return schema.anyOf.map((choice) => this.kind(choice)).join(' or ');
    if (schema['const'] !== undefined) return code(schema['const']);
    if (Array.isArray(schema['enum'])) return choice(schema['enum']);
    if (schema.items !== undefined) return `list of ${this.kind(schema.items)}`;
    return escaped([schema.format ?? schema.type ?? 'anything', ...boundsOf(schema)].join(', '));
  }
}

/** What a member has inside, with the way to it: `usage[].app`. */
function membersOf(schema: JsonSchema, path: string): Field[] {
  const list = schema.items ?? schema.prefixItems?.[0];
  if (list !== undefined) return membersOf(list, `${path}[]`);
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap((choice) => membersOf(choice, path));
  const own = Object.entries(schema.properties ?? {}).map(([name, member]) => ({
    name: path === '' ? name : `${path}.${name}`,
    required: schema.required?.includes(name) === true,
    schema: member,
  }));
  const rest = schema.additionalProperties;
  return typeof rest === 'object' && Object.keys(rest).length > 0
    ? [...own, ...membersOf(rest, path === '' ? '*' : `${path}.*`)]
    : own;
}

function boundsOf(schema: JsonSchema): string[] {
  const number = (keyword: string): number | undefined => {
    const bound = schema[keyword];
    return typeof bound === 'number' && Math.abs(bound) < Number.MAX_SAFE_INTEGER ? bound : undefined;
  };
  const told = (words: string, bound: number | undefined) =>
    bound === undefined ? [] : [`${words} ${bound.toLocaleString('en')}`];
  return [
    ...told('at least', number('minimum')),
    ...told('more than', number('exclusiveMinimum')),
    ...told('at most', number('maximum')),
    ...told('length at least', number('minLength')),
    ...told('length at most', number('maxLength')),
    ...(schema['default'] === undefined ? [] : [`default ${JSON.stringify(schema['default'])}`]),
  ];
}

const schemaId = (name: string): string => `schema-${escaped(name)}`;
const tokenId = (name: string): string => `token-${escaped(name)}`;
/** More than anybody would read are a kind of text. */
const choice = (values: readonly unknown[]): string => (values.length > 20 ? 'string' : values.map(code).join(', '));
const code = (value: unknown): string => `<code>${escaped(String(value))}</code>`;

/** Text as HTML, with `code` in it. */
function prose(text: string): string {
  return escaped(text).replace(/`([^`]+)`/g, '<code>$1</code>');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
