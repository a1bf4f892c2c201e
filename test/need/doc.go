// Package need leaves tests out that need what a machine lacks. With
// DOOZER_TEST_REQUIRE=all they fail: everything has to be there.
package need
