package chaos

import (
	"encoding/xml"
	"fmt"
	"io"
)

// The parts of JUnit's XML that CI systems read.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Stamp    string      `xml:"timestamp,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Failure *junitReason `xml:"failure,omitempty"`
		Error   *junitReason `xml:"error,omitempty"`
		Out     string       `xml:"system-out,omitempty"`
	}
	junitReason struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes runs as test suites: a case for the verdict and one for each
// probe. Deviated and violated are failures, aborted and inconclusive errors.
func WriteJUnit(w io.Writer, journals []Journal) error {
	var all junitSuites
	for _, j := range journals {
		s := junitSuite{
			Name: j.Name + " (" + j.Stack + ")", Time: fmt.Sprintf("%.3f", j.Ended.Sub(j.Began).Seconds()),
			Stamp: j.Began.UTC().Format("2006-01-02T15:04:05"),
		}
		s.add(j.verdictCase())
		for _, p := range j.Probes {
			s.add(p.junit(j.Name))
		}
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Error != nil {
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

func (j Journal) verdictCase() junitCase {
	c := junitCase{Class: j.Name, Name: "verdict"}
	reason := &junitReason{Message: j.Verdict, Text: j.Why}
	switch j.Code() {
	case Deviated, Violated:
		if j.Audit != nil {
			for _, f := range j.Audit.Findings {
				reason.Text += "\n" + f
			}
		}
		c.Failure = reason
	case Aborted, Inconclusive:
		c.Error = reason
	}
	return c
}

func (p ProbeResult) junit(class string) junitCase {
	c := junitCase{Class: class, Name: p.Name, Out: p.Says + ": " + p.Text}
	switch {
	case p.Error != "":
		c.Error = &junitReason{Message: "could not be measured", Text: p.Error}
	case !p.Held:
		c.Failure = &junitReason{Message: "out of tolerance", Text: p.Says + " is " + p.Text + ", want " + p.Tolerance}
	}
	return c
}
