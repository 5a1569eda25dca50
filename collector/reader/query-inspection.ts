/**
 * Whether a query only reads, by the syntax tree that the server itself made of it (`EXPLAIN AST`). The reader's user,
 * grants and settings keep it from everything else; two things they cannot: in the embedded server the function `file`
 * reads any file of this machine, whoever calls it, and the SETTINGS of a subquery, or of any but the last SELECT of a
 * UNION, are not held to the user's constraints (26.7).
 */

/** The nodes of a SELECT and of DESCRIBE. What has code in it that the tree does not show, such as APPLY, is not here. */
const NODES = new Set(
  [
    'SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery Subquery WithElement DescribeQuery ExpressionList',
    'Function Identifier Literal Set OrderByElement InterpolateElement TablesInSelectQuery TablesInSelectQueryElement',
    'TableExpression TableIdentifier TableJoin ArrayJoin SampleRatio WindowDefinition WindowListElement Asterisk',
    'QualifiedAsterisk ColumnsRegexpMatcher ColumnsListMatcher QualifiedColumnsRegexpMatcher QualifiedColumnsListMatcher',
    'ColumnsTransformerList ColumnsExceptTransformer ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement',
  ].flatMap((names) => names.split(' ')),
);

const ROOTS = new Set(['SelectWithUnionQuery', 'DescribeQuery']);

/** A function is called by its name, and is handed to a higher-order one by it: `arrayMap(file, […])`. */
const NAMED = new Set(['Function', 'Identifier']);
/** `eval` runs text that the tree does not show; a setting that the reader cannot change keeps it away, too. */
const REFUSED_NAMES = new Set(['file', 'eval', 'sqlite']);

/** Tables that are made of nothing. Of the others, some touch files before they ask whether they may (`sqlite`). */
const TABLE_FUNCTIONS = new Set(
  'numbers numbers_mt zeros zeros_mt generateSeries generate_series values view null'.split(' '),
);

/** The tree of SHOW leaves its WHERE out, which is an expression like any other: only these, as a whole, are known. */
const SHOW = /^\s*SHOW\s+(?:DATABASES|TABLES(?:\s+FROM\s+(?:\w+|`\w+`|"\w+"))?)(?:\s+FORMAT\s+\w+)?[\s;]*$/i;

/** What is wrong with the query; undefined when it only reads. `tree` is the whole answer, a node on each line. */
export function faultOf(sql: string, tree: string): string | undefined {
  if (SHOW.test(sql)) return undefined;
  const nodes = tree.trimEnd().split('\n').map(nodeOf);
  const [root] = nodes;
  if (root === undefined || !ROOTS.has(root.type))
    return 'SELECT, DESCRIBE, SHOW TABLES and SHOW DATABASES are understood.';
  const isOneSelect = nodes[1]?.type === 'ExpressionList' && nodes[1].children === 1;
  for (const [index, { type, name, depth }] of nodes.entries()) {
    const isOuter = depth === 1 || (depth === 3 && isOneSelect);
    if (type === 'Set' && !isOuter) return 'SETTINGS stand at the end of a query that is one SELECT, and nowhere else.';
    if (!NODES.has(type)) return `${type} is not understood.`;
    if (NAMED.has(type) && REFUSED_NAMES.has(name)) return `The function ${name} is refused, and every name like it.`;
    const isTable = type === 'Function' && nodes[index - 1]?.type === 'TableExpression';
    if (isTable && !TABLE_FUNCTIONS.has(name)) return `The table function ${name} is refused.`;
  }
  return undefined;
}

interface TreeNode {
  readonly type: string;
  readonly name: string;
  readonly depth: number;
  readonly children: number;
}

/** A line is `Type name (alias …) (children …)`, indented by depth; the last three may be missing. */
function nodeOf(line: string): TreeNode {
  const [type = '', name = ''] = line.trimStart().split(' ');
  const children = Number(/\(children (\d+)\)$/.exec(line)?.[1] ?? 0);
  return { type, name, depth: line.length - line.trimStart().length, children };
}
