# Reads a file of Nuke's (.nk, .gizmo) from standard input and says what is in it, one step a line, each word in hex.
# Only Nuke's own commands exist in it: another one, or Tcl that is not whole, ends it with exit code 1. The
# arguments name the classes of nodes that Nuke knows; without any it knows all.
set inner [interp create -safe]
set stack {}; set outer {}; set count 0; set depth 0
proc say {args} {
    set line {}
    foreach word $args { lappend line x[binary encode hex [encoding convertto utf-8 $word]] }
    puts [join $line " "]
}
proc stack_ {index} { return [lindex $::stack end-$index] }
proc push_ {value} { lappend ::stack $value; return {} }
proc end_ {} {
    if {$::depth == 0} { error "end_group without a group" }
    incr ::depth -1
    set ::stack [lindex $::outer end]
    set ::outer [lrange $::outer 0 end-1]
    say end
}
proc node_ {class args} {
    if {[llength $args] != 1 || ![string is upper [string index $class 0]]} { error "$class is no command of Nuke's" }
    if {$::argc && $class ni $::argv} { error "$class: Unknown command" }
    set body [lindex $args 0]
    if {[llength $body] % 2} { error "$class holds a knob without a value" }
    set wanted 1
    foreach {name value} $body { if {$name eq "inputs"} { set wanted [expr [join [split $value +] +]] } }
    set above {}
    for {set i 0} {$i < $wanted} {incr i} {
        set top [lindex $::stack end]
        set ::stack [lrange $::stack 0 end-1]
        lappend above [expr {$top eq "" || $top eq "0" ? "0" : $top}]
    }
    set id N[incr ::count]
    say node $id $class $above
    foreach {name value} $body {
        if {$name eq "addUserKnob"} { say user {*}$value } else { say knob $name $value }
    }
    if {$class in {Group Gizmo LiveGroup}} {
        lappend ::outer [concat $::stack $id]
        set ::stack {}
        incr ::depth
    } else { lappend ::stack $id }
    return $id
}
foreach name [interp eval $inner {info commands}] {
    if {$name ni {set info unknown if catch expr list lindex}} { interp hide $inner $name }
}
interp alias $inner unknown {} node_
interp alias $inner stack {} stack_
interp alias $inner push {} push_
interp alias $inner end_group {} end_
interp alias $inner version {} concat
fconfigure stdin -encoding utf-8
set text [read stdin]
if {[catch {interp eval $inner $text} problem]} { puts stderr $problem; exit 1 }
if {$depth} { puts stderr "a group has no end_group"; exit 1 }
