// Compares the alert rules, the dashboard and the operations manual with the program, and the rules with their test
// cases. Needs promtool (Debian's package prometheus) and no server: node --test tests/monitoring

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
const read = (path) => readFileSync(join(root, path), "utf8")
const all = (text, pattern) => [...new Set([...text.matchAll(pattern)].map((m) => m[1]))]
const promtool = (...args) => execFileSync("promtool", args,
    { cwd: join(root, "monitoring"), encoding: "utf8", stdio: "pipe" })

const rules = read("monitoring/booky-sync.rules.yml")
const cases = read("monitoring/booky-sync.rules.test.yml")
const dashboard = JSON.parse(read("monitoring/grafana-dashboard.json"))
const manual = read("docs/operations.md")

const sources = ["lib", "fcgi-app"].flatMap((dir) =>
  readdirSync(join(root, dir), { recursive: true }).filter((f) => f.endsWith(".c")).map((f) => `${dir}/${f}`),
)
const flat = (path) => read(path).replace(/\s+/g, " ") // the layout of C sources does not matter
const code = sources.map(flat).join("\n")
const metrics = all(flat("fcgi-app/serve/metrics.c") + flat("fcgi-app/push/push_metrics.c"),
    /\{"(booky_sync_\w+)", "(?:counter|gauge|histogram)"/g)
const settings = all(flat("lib/base/conf.c"), /(?:STRING|INTEGER|CHOICE)\( ?"(\w+\.\w+)"/g)
    .concat(all(flat("lib/base/conf.c"), /\{"(\w+\.\w+)", CONF_/g))
const alerts = all(rules, /- alert: (\w+)/g)
// A row that is collapsed holds its panels; those of an open row follow it.
const panels = dashboard.panels.flatMap((p) => [p, ...(p.panels ?? [])])
const queries = panels.flatMap((p) => p.targets ?? [])
const expressions = queries.filter((t) => t.datasource.type === "prometheus").map((t) => t.expr)

// A histogram's series.
const metrics_of = (text) => all(text, /\b(booky_sync_\w+)/g).map((name) => name.replace(/_(bucket|sum|count)$/, ""))
const missing = (some, from) => some.filter((x) => !from.includes(x))
const headings = all(manual, /^#+ (.+)$/gm).map((h) => h.toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-"))

test("this test finds the metrics and settings that the program declares", () => {
    assert.ok(metrics.length >= 20, `only ${metrics.length} metrics found in fcgi-app/serve/metrics.c`)
    assert.ok(settings.length >= 30, `only ${settings.length} settings found in lib/base/conf.c`)
    assert.ok(alerts.length >= 10 && expressions.length >= 30)
})

test("the rules are well-formed", () => promtool("check", "rules", "booky-sync.rules.yml"))

test("each alert fires exactly when it should", () => promtool("test", "rules", "booky-sync.rules.test.yml"))

test("each alert has a case in which it fires", () => {
    assert.deepEqual(missing(alerts, all(cases, /alertname="(\w+)"/g)), [])
})

test("each alert links to the section of the manual with its name", () => {
    const anchors = all(rules, /runbook: "docs\/operations\.md#(\S+)"/g)
    assert.deepEqual(anchors, alerts.map((name) => name.toLowerCase()))
    assert.deepEqual(missing(anchors, headings), [])
})

test("rules, cases and dashboard use only metrics that the program has", () => {
    for (const text of [rules, cases, JSON.stringify(dashboard)])
        assert.deepEqual(missing(metrics_of(text), metrics), [])
})

test("the dashboard shows every metric", () => {
    assert.deepEqual(missing(metrics, metrics_of(expressions.join("\n"))), [])
})

test("every query of the dashboard is PromQL", () => {
    const dir = mkdtempSync(join(tmpdir(), "dashboard-"))
    const filled = expressions.map(
        (e) => e.replaceAll("$__rate_interval", "5m").replaceAll("$job", "j").replaceAll("$instance", ".*"))
    const group = { name: "dashboard", rules: filled.map((expr, i) => ({ record: `panel:${i}`, expr })) }
    writeFileSync(join(dir, "rules.json"), JSON.stringify({ groups: [group] })) // JSON is YAML
    try {
        promtool("check", "rules", join(dir, "rules.json"))
    } finally {
        rmSync(dir, { recursive: true })
    }
    assert.doesNotMatch(filled.join("\n"), /\$/, "a variable that the dashboard does not define")
})

test("the panels of the dashboard have different ids and places and use the chosen data source", () => {
    assert.equal(new Set(panels.map((p) => p.id)).size, panels.length)
    for (const group of [dashboard.panels, ...dashboard.panels.map((p) => p.panels ?? [])]) places(group)
    for (const { datasource: { type, uid } } of queries)
        assert.equal(uid, { prometheus: "${datasource}", loki: "${logs}" }[type])
    assert.deepEqual(dashboard.templating.list.map((v) => v.name), ["datasource", "job", "instance", "logs", "runbook"])
})

// Panels that are shown together are in different places.
function places(group) {
    const taken = new Set()
    for (const panel of group) {
        const { x, y, w, h } = panel.gridPos
        for (let i = 0; i < w * h; i++) {
            const cell = `${x + (i % w)},${y + Math.floor(i / w)}`
            assert.ok(x + w <= 24 && !taken.has(cell), `${panel.title}: ${cell}`)
            taken.add(cell)
        }
    }
}

test("all rows but the first are collapsed and hold their panels", () => {
    const rows = dashboard.panels.filter((p) => p.type === "row")
    assert.deepEqual(rows.map((row) => row.collapsed), rows.map((row, i) => i > 0))
    for (const row of rows) assert.equal(row.panels.length > 0, row.collapsed, row.title)
})

test("panels link to headings of the manual, and each alert of the rules has a panel or is about the target", () => {
    const links = panels.flatMap((p) => p.links ?? []).map(({ url }) => url)
    assert.ok(links.length > 20 && links.every((url) => url.startsWith("${runbook}#")))
    assert.deepEqual(missing(links.map((url) => url.slice("${runbook}#".length)), headings), [])
    assert.deepEqual(missing(alerts.map((name) => `\${runbook}#${name.toLowerCase()}`), links),
        ["bookysyncworkerstimingout", "bookysyncdown", "bookysyncabsent"].map((name) => `\${runbook}#${name}`))
})

test("the panel of nginx's refusals reads the file that rsyslog writes, by the names in its lines", () => {
    const [query] = queries.filter((t) => t.datasource.type === "loki").map((t) => t.expr)
    const [, file] = read("monitoring/rsyslog.conf").match(/type="omfile" file="(\S+)"/)
    assert.ok(query.startsWith(`sum by (record_limit) (rate({filename="${file}"} | json `))
    for (const name of ["status", "limit"]) assert.ok(read("nginx/booky-sync/http.conf").includes(`"${name}":`))
    assert.ok(query.includes('source="booky-nginx" | record_status="429"'))
})

test("the manual explains exactly the metrics of the program", () => {
    assert.deepEqual(missing(metrics, metrics_of(manual)), [])
    assert.deepEqual(missing(metrics_of(manual), metrics), [])
})

test("the manual explains every event of the log", () => {
    const events = all(code, /log_(?:event|begin)\([^;]*?, "(\w+)"/g)
        .concat(all(code, /log_request\([^;]*?, "(\w+)"\)/g))
    assert.ok(events.length >= 8, events.join(" "))
    assert.deepEqual(missing(events, all(manual, /^\| `(\w+)` \|/gm)), [])
})

test("the settings that the manual names exist", () => {
    const sections = [...new Set(settings.map((name) => name.split(".")[0]))]
    const named = all(manual, new RegExp(`\`((?:${sections.join("|")})\\.[a-z_]+)\``, "g"))
        .filter((name) => !name.endsWith(".conf"))
    assert.ok(named.length >= 10)
    assert.deepEqual(missing(named, settings), [])
})

test("the manual's links lead to its own headings", () => {
    assert.deepEqual(missing(all(manual, /\]\(#([^)]+)\)/g), headings), [])
})
