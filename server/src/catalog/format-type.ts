import { asList, isSchema, type Subschema } from "./schema-refs.ts";

/** How references and files are written; the rest of a type follows from the schema alone. */
export interface TypeNames {
  /** The TypeScript name of a component. */
  find(component: string): string;
  /** Of a property that holds a file, for example `string | Blob`. */
  readonly file: string;
}

/** A JSON Schema as a TypeScript type. */
export function formatType(schema: Subschema, names: TypeNames, indent = ""): string {
  if (typeof schema === "boolean") return schema ? "unknown" : "never";
  const { $ref, allOf, anyOf, oneOf, type } = schema;
  const parts: string[] = [];
  if (typeof $ref === "string") parts.push(formatRef($ref, names));
  for (const part of asList(allOf)) parts.push(formatType(part as Subschema, names, indent));
  const branches = [...asList(anyOf), ...asList(oneOf)] as Subschema[];
  if (branches.length > 0)
    parts.push(formatUnion(branches.map((branch) => formatType(branch, names, indent))));
  const isDescribed = parts.length === 0 || type !== undefined || isSchema(schema["properties"]);
  if (isDescribed) parts.push(formatOwn(schema, names, indent));
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  return [...new Set(parts)].map(parenthesize).join(" & ");
}

/** `{ readonly … }`: the members of an object schema. */
export function formatMembers(schema: Subschema, names: TypeNames, indent = ""): string {
  const properties = isSchema(schema) && isSchema(schema["properties"]) ? schema["properties"] : {};
  const required = isSchema(schema) ? asList(schema["required"]) : [];
  const inner = `${indent}  `;
  const members = Object.entries(properties).map(([name, property]) => {
    const type = formatType(property as Subschema, names, inner);
    const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
    const member = required.includes(name) ? `${key}: ${type};` : `${key}?: ${type} | undefined;`;
    return `${formatComment(property as Subschema, inner)}${inner}${member}\n`;
  });
  return members.length === 0 ? "{}" : `{\n${members.join("")}${indent}}`;
}

/** A doc comment with the description, default and limits of a schema; empty when it says nothing. */
export function formatComment(schema: Subschema, indent: string): string {
  if (!isSchema(schema)) return "";
  const { description, default: fallback, minimum, maximum } = schema;
  const sentences: string[] = [];
  if (typeof description === "string" && description !== "") sentences.push(description);
  if (fallback !== undefined) sentences.push(`Default: \`${JSON.stringify(fallback)}\`.`);
  if (minimum !== undefined) sentences.push(`At least ${minimum}.`);
  if (maximum !== undefined) sentences.push(`At most ${maximum}.`);
  if (sentences.length === 0) return "";
  const text = sentences.join(" ").replaceAll("*/", "*\\/").split(/\r?\n/);
  if (text.length === 1) return `${indent}/** ${text[0]} */\n`;
  return `${indent}/**\n${text.map((line) => `${indent} * ${line}`.trimEnd()).join("\n")}\n${indent} */\n`;
}

function formatOwn(schema: Exclude<Subschema, boolean>, names: TypeNames, indent: string): string {
  if ("const" in schema) return formatLiteral(schema["const"]);
  if (Array.isArray(schema["enum"])) return formatUnion(schema["enum"].map(formatLiteral));
  const { type } = schema;
  if (Array.isArray(type))
    return formatUnion(type.map((each) => formatOwn({ ...schema, type: each }, names, indent)));
  switch (type) {
    case "string":
      return isSchema(schema["ui"]) && FILES.has(schema["ui"]["field"]) ? names.file : "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
    case "null":
      return type;
    case "array":
      return formatList(schema, names, indent);
    case "object":
      return formatObject(schema, names, indent);
    default:
      return isSchema(schema["properties"]) ? formatMembers(schema, names, indent) : "unknown";
  }
}

const FILES = new Set<unknown>(["image", "file", "video", "audio"]);

function formatObject(schema: Exclude<Subschema, boolean>, names: TypeNames, indent: string): string {
  const additional = schema["additionalProperties"];
  if (isSchema(schema["properties"])) return formatMembers(schema, names, indent);
  if (additional === false) return "Record<string, never>";
  return `Record<string, ${isSchema(additional) ? formatType(additional, names, indent) : "unknown"}>`;
}

function formatList(schema: Exclude<Subschema, boolean>, names: TypeNames, indent: string): string {
  const first = asList(schema["prefixItems"]) as Subschema[];
  const items = schema["items"] as Subschema | undefined;
  const rest = items === undefined ? "unknown" : formatType(items, names, indent);
  if (first.length === 0) return `${parenthesize(rest)}[]`;
  const tuple = first.map((each) => `${formatType(each, names, indent)} | undefined`);
  const tail = items === false ? [] : [`...${parenthesize(rest)}[]`];
  return `[${[...tuple, ...tail].join(", ")}]`;
}

/** `#/components/schemas/Image` → `Image`; what lies below a component is reached by its keys. */
function formatRef(ref: string, names: TypeNames): string {
  const [component, ...path] = ref.replace("#/components/schemas/", "").split("/");
  let type = names.find(component ?? "");
  for (let at = 0; at < path.length; at++) {
    if (path[at] === "properties") type = `NonNullable<${type}[${JSON.stringify(path[++at])}]>`;
    else if (path[at] === "items") type = `${type}[number]`;
    else return "unknown";
  }
  return type;
}

function formatUnion(types: readonly string[]): string {
  const different = [...new Set(types)];
  return different.length === 0 ? "never" : different.join(" | ");
}

function formatLiteral(value: unknown): string {
  return typeof value === "object" && value !== null ? "unknown" : JSON.stringify(value);
}

function parenthesize(type: string): string {
  return /[|&]/.test(type) && !(type.startsWith("{") && type.endsWith("}")) ? `(${type})` : type;
}
