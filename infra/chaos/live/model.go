package live

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

const (
	labelWidth = 9  // columns before the plots
	valueWidth = 16 // and after them
	narrowest  = 12 // columns of a plot
	widest     = 100
	lastEvents = 5
)

var (
	bold  = lipgloss.NewStyle().Bold(true)
	faint = lipgloss.NewStyle().Faint(true)
	bad   = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	hurt  = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	fine  = lipgloss.NewStyle().Foreground(lipgloss.Green)
)

// model is the picture of a run. All its rows share one axis of time.
type model struct {
	name, title   string
	phases        []chaos.Phase
	end           float64 // seconds
	width, height int     // of the terminal; 0: not known yet

	now     float64 // the end of the last second that is over
	phase   string
	saying  string
	seconds []chaos.Second
	sums    map[string]*sum // by phase
	events  []chaos.Event   // the last ones
	marks   []float64       // when there was one
	closing bool
}

func newModel(e chaos.Experiment) *model {
	m := &model{name: e.Name, title: e.Title, end: e.Load.Lasts().Seconds(), sums: map[string]*sum{}}
	at := time.Duration(0)
	for _, p := range []struct {
		name string
		d    time.Duration
	}{{"warm-up", e.Load.Warmup}, {"baseline", e.Load.Baseline}, {"fault", e.Load.Duration}, {"recovery", e.Load.Recovery}} {
		if p.d > 0 {
			m.phases = append(m.phases, chaos.Phase{Name: p.name, From: at.Seconds(), To: (at + p.d).Seconds()})
		}
		at += p.d
	}
	return m
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case sayMsg:
		m.saying = string(msg)
	case phaseMsg:
		m.phase, m.saying = msg.Name, ""
		m.now = max(m.now, msg.From)
	case secondMsg:
		m.second(chaos.Second(msg))
	case eventMsg:
		if msg.Kind != "phase" {
			m.marks = append(m.marks, msg.At)
			m.events = append(m.events, chaos.Event(msg))
			m.events = m.events[max(0, len(m.events)-lastEvents):]
		}
	case closeMsg:
		m.closing = true
		return m, tea.Quit
	}
	return m, nil
}

func (m *model) second(s chaos.Second) {
	m.seconds = append(m.seconds, s)
	m.now = max(m.now, s.At+1)
	m.end = max(m.end, m.now)
	for _, p := range m.phases {
		if s.At >= p.From && s.At < p.To {
			if m.sums[p.Name] == nil {
				m.sums[p.Name] = &sum{}
			}
			m.sums[p.Name].add(s)
		}
	}
}

// View implements tea.Model.
func (m *model) View() tea.View {
	if m.closing {
		return tea.NewView("")
	}
	width := cmp.Or(m.width, 80)
	rows := m.rows(min(max(width-labelWidth-valueWidth, narrowest), widest))
	if m.height > 1 {
		rows = rows[:min(len(rows), m.height-1)]
	}
	cut := lipgloss.NewStyle().MaxWidth(width)
	for i, row := range rows {
		rows[i] = cut.Render(row)
	}
	return tea.NewView(strings.Join(rows, "\n"))
}

// rows are the lines of the picture, what matters most first: a low terminal
// shows the upper ones.
func (m *model) rows(columns int) []string {
	rows := []string{
		bold.Render(printable(m.name)) + "  " + faint.Render(printable(m.title)),
		m.names(columns),
		label("time") + m.progress(columns) + "  " + clock(m.now) + " of " + clock(m.end),
		label("success") + m.success(columns) + "  " + m.lastSuccess(),
		label("p99") + m.p99(columns) + "  " + m.lastP99(),
		label("events") + m.ticks(columns),
	}
	if m.saying != "" {
		rows = append(rows, label("")+faint.Render(printable(m.saying)))
	}
	rows = append(rows, m.table()...)
	for _, e := range m.events {
		text := describe(e)
		if e.Error != "" {
			text = bad.Render(text)
		}
		rows = append(rows, label("")+text)
	}
	return rows
}

func label(s string) string { return faint.Render(fmt.Sprintf("%-*s", labelWidth, s)) }

// column is where a moment is among columns.
func (m *model) column(at float64, columns int) int {
	if m.end <= 0 {
		return 0
	}
	return min(max(int(at/m.end*float64(columns)), 0), columns-1)
}

// names writes the phases where they begin, as far as there is place.
func (m *model) names(columns int) string {
	row := []rune(strings.Repeat(" ", columns+1))
	for _, p := range m.phases {
		from, to := m.column(p.From, columns), m.column(p.To, columns)
		if p.To >= m.end {
			to = columns + 1
		}
		if name := []rune(p.Name); len(name) < to-from {
			copy(row[from:], name)
		}
	}
	return label("") + faint.Render(strings.TrimRight(string(row), " "))
}

// progress is the axis: drawn out as far as the run has come, the fault in its
// colour.
func (m *model) progress(columns int) string {
	var b strings.Builder
	for c := range columns {
		at := (float64(c) + 0.5) / float64(columns) * m.end
		mark, style := "━", lipgloss.NewStyle()
		if at > m.now {
			mark, style = "╌", faint
		}
		for _, p := range m.phases {
			if p.Name == "fault" && at >= p.From && at < p.To && at <= m.now {
				mark, style = "█", hurt
			}
		}
		b.WriteString(style.Render(mark))
	}
	return b.String()
}

var levels = []rune("▁▂▃▄▅▆▇█")

// successLevels are the bounds of the levels below the full one: only a second
// in which nothing failed is full.
var successLevels = []float64{0.5, 0.75, 0.9, 0.97, 0.99, 0.999, 1}

// success draws the worst second of each column.
func (m *model) success(columns int) string {
	return m.spark(columns, func(seconds []chaos.Second) (level int, style lipgloss.Style) {
		level, style = len(successLevels), fine
		for _, s := range seconds {
			share := float64(s.Requests-s.Failed) / float64(s.Requests)
			for i, bound := range successLevels {
				if share < bound {
					level, style = min(level, i), bad
					break
				}
			}
		}
		return level, style
	})
}

// p99 draws the worst second of each column, against the worst of all.
func (m *model) p99(columns int) string {
	most := 0.0
	for _, s := range m.seconds {
		most = max(most, s.P99)
	}
	return m.spark(columns, func(seconds []chaos.Second) (int, lipgloss.Style) {
		worst := 0.0
		for _, s := range seconds {
			worst = max(worst, s.P99)
		}
		return int(math.Ceil(worst/max(most, 1)*float64(len(levels)))) - 1, lipgloss.NewStyle()
	})
}

// spark draws a level for the seconds of each column that have requests. Where a
// second is wider than a column it fills several.
func (m *model) spark(columns int, level func([]chaos.Second) (int, lipgloss.Style)) string {
	of := make([][]chaos.Second, columns)
	for _, s := range m.seconds {
		if s.Requests == 0 {
			continue
		}
		from := m.column(s.At, columns)
		for c := from; c <= max(from, m.column(s.At+1-1e-6, columns)); c++ {
			of[c] = append(of[c], s)
		}
	}
	var b strings.Builder
	for _, seconds := range of {
		if len(seconds) == 0 {
			b.WriteByte(' ')
			continue
		}
		n, style := level(seconds)
		b.WriteString(style.Render(string(levels[min(max(n, 0), len(levels)-1)])))
	}
	return b.String()
}

// ticks marks when something happened.
func (m *model) ticks(columns int) string {
	row := []rune(strings.Repeat(" ", columns))
	for _, at := range m.marks {
		row[m.column(at, columns)] = '▾'
	}
	return hurt.Render(strings.TrimRight(string(row), " "))
}

func (m *model) last() chaos.Second {
	if len(m.seconds) == 0 {
		return chaos.Second{}
	}
	return m.seconds[len(m.seconds)-1]
}

func (m *model) lastSuccess() string {
	switch s := m.last(); {
	case s.Requests == 0:
		return "-"
	case s.Failed > 0:
		return bad.Render(percent(s.Requests, s.Failed))
	}
	return "100 %"
}

func (m *model) lastP99() string {
	if m.last().Requests == 0 {
		return "-"
	}
	return millis(m.last().P99)
}

// table says what the phases came to so far.
func (m *model) table() (rows []string) {
	for _, p := range m.phases {
		s := m.sums[p.Name]
		if s == nil || s.requests == 0 {
			continue
		}
		success := fmt.Sprintf("%s of %d requests", percent(s.requests, s.failed), s.requests)
		if s.failed > 0 {
			success = bad.Render(success + fmt.Sprintf(", %d failed", s.failed))
		}
		name := fmt.Sprintf("%-*s", labelWidth, p.Name)
		if p.Name == m.phase {
			name = bold.Render(name)
		}
		rows = append(rows, name+success+", p99 of the worst second "+millis(s.p99))
	}
	return rows
}
