// Holds the alert rules, the dashboard and the operations manual against the program, and the rules against their cases.
// Needs promtool (Debian's package prometheus) and no server: node --test tests/monitoring

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
const promtool = (...args) => execFileSync("promtool", args, { cwd: join(root, "monitoring"), encoding: "utf8", stdio: "pipe" })

const rules = read("monitoring/booky-sync.rules.yml")
const cases = read("monitoring/booky-sync.rules.test.yml")
const dashboard = JSON.parse(read("monitoring/grafana-dashboard.json"))
const manual = read("docs/operations.md")

const sources = ["lib", "fcgi-app"].flatMap((dir) => readdirSync(join(root, dir)).filter((f) => f.endsWith(".c")).map((f) => `${dir}/${f}`))
const code = sources.map(read).join("\n")
const metrics = all(read("fcgi-app/metrics.c") + read("fcgi-app/push_metrics.c"), /\{"(booky_sync_\w+)", "(?:counter|gauge|histogram)"/g)
const settings = all(read("lib/conf.c"), /(?:STRING|INTEGER|CHOICE)\("(\w+\.\w+)"/g).concat(all(read("lib/conf.c"), /\{"(\w+\.\w+)", CONF_/g))
const alerts = all(rules, /- alert: (\w+)/g)
const expressions = dashboard.panels.flatMap((p) => (p.targets ?? []).map((t) => t.expr))

const metrics_of = (text) => all(text, /\b(booky_sync_\w+)/g).map((name) => name.replace(/_(bucket|sum|count)$/, "")) // a histogram's series
const missing = (some, from) => some.filter((x) => !from.includes(x))
const headings = all(manual, /^#+ (.+)$/gm).map((h) => h.toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-"))

test("the program declares metrics, and they are found here", () => {
    assert.ok(metrics.length >= 20, `only ${metrics.length} metrics found in fcgi-app/metrics.c`)
    assert.ok(settings.length >= 30, `only ${settings.length} settings found in lib/conf.c`)
    assert.ok(alerts.length >= 10 && expressions.length >= 30)
})

test("the rules are well-formed", () => promtool("check", "rules", "booky-sync.rules.yml"))

test("each alert fires when it should and is silent when it should", () => promtool("test", "rules", "booky-sync.rules.test.yml"))

test("each alert has a case in which it fires", () => {
    assert.deepEqual(missing(alerts, all(cases, /alertname="(\w+)"/g)), [])
})

test("each alert points to a section of the manual that has its name", () => {
    const anchors = all(rules, /runbook: "docs\/operations\.md#(\S+)"/g)
    assert.deepEqual(anchors, alerts.map((name) => name.toLowerCase()))
    assert.deepEqual(missing(anchors, headings), [])
})

test("rules, cases and dashboard know only metrics that the program has", () => {
    for (const text of [rules, cases, JSON.stringify(dashboard)]) assert.deepEqual(missing(metrics_of(text), metrics), [])
})

test("the dashboard shows every metric", () => {
    assert.deepEqual(missing(metrics, metrics_of(expressions.join("\n"))), [])
})

test("every query of the dashboard is PromQL", () => {
    const dir = mkdtempSync(join(tmpdir(), "dashboard-"))
    const filled = expressions.map((e) => e.replaceAll("$__rate_interval", "5m").replaceAll("$job", "j").replaceAll("$instance", ".*"))
    const group = { name: "dashboard", rules: filled.map((expr, i) => ({ record: `panel:${i}`, expr })) }
    writeFileSync(join(dir, "rules.json"), JSON.stringify({ groups: [group] })) // JSON is YAML
    try {
        promtool("check", "rules", join(dir, "rules.json"))
    } finally {
        rmSync(dir, { recursive: true })
    }
    assert.doesNotMatch(filled.join("\n"), /\$/, "a variable that the dashboard does not define")
})

test("the dashboard's panels do not share an id or a place, and ask the chosen data source", () => {
    const taken = new Set()
    assert.equal(new Set(dashboard.panels.map((p) => p.id)).size, dashboard.panels.length)
    for (const panel of dashboard.panels) {
        const { x, y, w, h } = panel.gridPos
        for (let i = 0; i < w * h; i++) {
            const cell = `${x + (i % w)},${y + Math.floor(i / w)}`
            assert.ok(x + w <= 24 && !taken.has(cell), `${panel.title}: ${cell}`)
            taken.add(cell)
        }
        for (const target of panel.targets ?? []) assert.equal(target.datasource.uid, "${datasource}")
    }
    assert.deepEqual(dashboard.templating.list.map((v) => v.name), ["datasource", "job", "instance"])
})

test("the manual explains every metric, and no other", () => {
    assert.deepEqual(missing(metrics, metrics_of(manual)), [])
    assert.deepEqual(missing(metrics_of(manual), metrics), [])
})

test("the manual explains every event of the log", () => {
    const events = all(code, /log_(?:event|begin)\([^;]*?, "(\w+)"/g).concat(all(code, /log_request\([^;]*?, "(\w+)"\)/g))
    assert.ok(events.length >= 8, events.join(" "))
    assert.deepEqual(missing(events, all(manual, /^\| `(\w+)` \|/gm)), [])
})

test("the settings that the manual names exist", () => {
    const sections = [...new Set(settings.map((name) => name.split(".")[0]))]
    const named = all(manual, new RegExp(`\`((?:${sections.join("|")})\\.[a-z_]+)\``, "g")).filter((name) => !name.endsWith(".conf"))
    assert.ok(named.length >= 10)
    assert.deepEqual(missing(named, settings), [])
})

test("the manual's links lead to its own headings", () => {
    assert.deepEqual(missing(all(manual, /\]\(#([^)]+)\)/g), headings), [])
})
